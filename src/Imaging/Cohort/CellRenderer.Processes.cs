using BioSup.Runtime;

namespace BioSup.Imaging;

internal sealed partial class CellRenderer
{
    private const int Synapses = 6, FilopodiaPerTip = 5;

    private void DrawNeurites(ReadOnlySpan<double> concepts)
    {
        double beading = Of(concepts, CohortConcept.NeuriteBeading), calcium = Of(concepts, CohortConcept.Calcium);
        CounterRandom random = Stream(CohortStream.Beading);
        _strokes.Clear();
        foreach (NeuriteTree.Path path in _neurites.Paths)
        {
            double phase = 2 * Math.PI * random.NextDouble();
            for (int i = 0; i + 1 < path.Count; i++)
            {
                double a = Width(path, i, phase, beading), b = Width(path, i + 1, phase, beading);
                double brightness = 0.52 * (1 - 0.30 * i / 40) * (1 + 0.9 * beading * Bead(i, phase));
                _membrane.RaiseCapsule(path.X[i], path.Y[i], a, path.X[i + 1], path.Y[i + 1], b, brightness, EdgeSoftness * _unit);
                _strokes.RaiseCapsule(path.X[i], path.Y[i], 0.6 * a, path.X[i + 1], path.Y[i + 1], 0.6 * b, (0.03 + 0.32 * calcium) * (1 - 0.5 * i / 40), EdgeSoftness * _unit);
            }
        }
        for (int i = 0; i < _strokes.Pixels.Length; i++) _mitochondria.Pixels[i] += _strokes.Pixels[i];
    }

    /// <summary>Half width along a neurite: flared where it leaves the body, tapered to the tip, swollen at its beads.</summary>
    private double Width(NeuriteTree.Path path, int i, double phase, double beading)
    {
        double t = i / (double)Math.Max(path.Count - 1, 1), flare = path.IsBranch ? 0 : 2.7 * Math.Exp(-i / 2.6);
        return _unit * (path.BaseWidth * (0.95 - 0.55 * t) + flare) * (1 - 0.25 * beading) + _unit * 1.25 * beading * Bead(i, phase);
    }

    private static double Bead(int i, double phase)
    {
        if (i < 3) return 0;
        double wave = 0.5 + 0.5 * Math.Cos(2 * Math.PI * i / 5.0 + phase);
        return wave * wave * wave;
    }

    /// <summary>Thin spikes fanned out at every tip, and a growth cone that widens with them.</summary>
    private void DrawFilopodia(ReadOnlySpan<double> concepts)
    {
        double filopodia = Of(concepts, CohortConcept.Filopodia);
        CounterRandom random = Stream(CohortStream.Filopodia);
        foreach (NeuriteTree.Path path in _neurites.Paths)
        {
            if (path.Count == 0) continue;
            int tip = path.Count - 1;
            for (int i = 0; i < FilopodiaPerTip; i++)
            {
                double spread = ((i + 1) / 2 * (i % 2 == 0 ? 1 : -1) * 0.5) + 0.25 * (random.NextDouble() - 0.5), length = _unit * (4.6 + 3.0 * random.NextDouble());
                double presence = Presence(filopodia, i, FilopodiaPerTip), heading = path.Heading[tip] + spread;
                if (presence <= 0) continue;
                _membrane.RaiseCapsule(path.X[tip], path.Y[tip], 0.25 * _unit, path.X[tip] + presence * length * Math.Cos(heading),
                    path.Y[tip] + presence * length * Math.Sin(heading), -0.1 * _unit, 0.95, 0.70 * _unit);
            }
            if (filopodia > 0 && !path.IsBranch) _membrane.AddSpot(path.X[tip], path.Y[tip], 1.1 * _unit, 0.30 * filopodia);
        }
    }

    private void DrawSynapses(ReadOnlySpan<double> concepts)
    {
        double synapses = Of(concepts, CohortConcept.SynapticPuncta);
        CounterRandom random = Stream(CohortStream.Synapses);
        foreach (NeuriteTree.Path path in _neurites.Paths)
        {
            for (int i = 0; i < Synapses; i++)
            {
                double position = (i + random.NextDouble()) / Synapses, side = i % 2 == 0 ? 1.5 : -1.5, presence = Presence(synapses, i * 3 % Synapses + i / 2 % 3, Synapses);
                if (presence <= 0 || path.Count < 3) continue;
                int at = 1 + (int)(position * (path.Count - 2));
                double normal = path.Heading[at] + Math.PI / 2;
                _membrane.AddSpot(path.X[at] + side * _unit * Math.Cos(normal), path.Y[at] + side * _unit * Math.Sin(normal), 0.48 * _unit, 0.8 * presence);
            }
        }
    }
}
