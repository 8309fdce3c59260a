using BioSup.Data;
using BioSup.Runtime;

namespace BioSup.Analysis.Sae;

/// <summary>Measures chosen latents in one pass over the tokens; memory grows with the latents chosen, not with the tokens.</summary>
public static class LatentProfiles
{
    /// <param name="model">The model.</param>
    /// <param name="tokens">Any source of its width.</param>
    /// <param name="rowsPerImage">Tokens of each image; null when unknown: tokens then stand for images.</param>
    /// <param name="labels">A class per token or, with images, per image; null for none.</param>
    /// <param name="latents">Latents to describe.</param>
    /// <param name="options">What is kept.</param>
    /// <returns>One profile for each of <paramref name="latents"/>, in their order.</returns>
    /// <exception cref="UsageException">There is no such latent.</exception>
    public static IReadOnlyList<LatentProfile> Measure(SaeModel model, ITokenSource tokens, IReadOnlyList<int>? rowsPerImage, IReadOnlyList<string>? labels, IReadOnlyList<int> latents,
        LatentProfileOptions? options = null, IProgressReporter? progress = null, CancellationToken cancellation = default)
    {
        options ??= new LatentProfileOptions();
        if (latents.Cast<int?>().FirstOrDefault(j => j < 0 || j >= model.Latents) is { } wrong) throw new UsageException($"There is no latent {wrong}: the model has {model.Latents}, numbered from 0.");
        if (latents.Count == 0) return [];
        bool images = rowsPerImage is { Count: > 0 };
        if (images && rowsPerImage!.Sum(r => (long)r) != tokens.Rows) throw new ArgumentException($"The images have {rowsPerImage!.Sum(r => (long)r)} tokens, the source {tokens.Rows}.", nameof(rowsPerImage));
        LabelPlan? plan = labels is null ? null : LabelPlan.Create(labels, tokens.Rows, rowsPerImage);
        bool byImage = plan is null || plan.ClassOfImage.Length == (images ? rowsPerImage!.Count : tokens.Rows);
        Pass pass = new([.. latents], model.Latents, images ? rowsPerImage : null, plan, byImage, options);
        SaeEncoder.Encode(model, tokens, rowsPerImage, (start, _, activations) =>
        {
            for (int t = 0; t < activations.Rows; t++) pass.Add(start + t, activations.Row(t));
        }, progress, cancellation);
        pass.Finish();
        int[] alive = LatentRows.Alive(model, SaeEvaluation.AliveThreshold);
        return [.. Enumerable.Range(0, latents.Count).Select(c => pass.Describe(c, tokens.Rows, DecoderGeometry.NearestTo(model, latents[c], alive, options.Neighbours)))];
    }

    private sealed class Pass
    {
        private readonly int[] _latents;
        private readonly IReadOnlyList<int>? _rows;
        private readonly LabelPlan? _plan;
        private readonly bool _byImage;
        private readonly LatentProfileOptions _options;
        private readonly long[] _active;
        private readonly int[] _found;
        private readonly long[][] _together;
        private readonly Tally[] _tallies;
        private readonly ClassTally[][] _classes;
        private readonly float[][] _values;
        private int _image, _filled;

        public Pass(int[] latents, int all, IReadOnlyList<int>? rows, LabelPlan? plan, bool byImage, LatentProfileOptions options)
        {
            (_latents, _rows, _plan, _byImage, _options) = (latents, rows, plan, byImage, options);
            (_active, _found) = (new long[all], new int[all]);
            _together = [.. latents.Select(_ => new long[all])];
            _tallies = [.. latents.Select(_ => new Tally())];
            _classes = [.. latents.Select(_ => (plan?.Classes ?? []).Select(_ => new ClassTally()).ToArray())];
            _values = [.. latents.Select(_ => new float[Math.Max(1, rows?.Max() ?? 1)])];
        }

        private int RowsOfImage => _rows is null ? 1 : _image < _rows.Count ? _rows[_image] : 0;

        public void Add(long token, ReadOnlySpan<float> row)
        {
            while (_filled == RowsOfImage) CloseImage();
            int found = 0;
            for (int j = row.IndexOfAnyExcept(0f); j >= 0;)
            {
                _found[found++] = j;
                _active[j]++;
                int next = row[(j + 1)..].IndexOfAnyExcept(0f);
                j = next < 0 ? -1 : j + 1 + next;
            }
            int unit = _plan is null || _byImage ? _image : (int)token;
            for (int c = 0; c < _latents.Length; c++)
            {
                float value = row[_latents[c]];
                _values[c][_filled] = value;
                if (_plan is not null)
                {
                    ClassTally tally = _classes[c][_plan.ClassOfImage[unit]];
                    tally.Tokens++;
                    if (value != 0) tally.ActiveTokens++;
                    if (!_byImage) tally.Add(value);
                }
                if (value == 0) continue;
                _tallies[c].Add(value);
                long[] together = _together[c];
                for (int i = 0; i < found; i++) together[_found[i]]++;
            }
            _filled++;
        }

        public void Finish()
        {
            if (_filled > 0) CloseImage();
            while (_rows is not null && _image < _rows.Count) CloseImage();
        }

        private void CloseImage()
        {
            _options.Background.TryGetValue(_image, out float[]? background);
            for (int c = 0; c < _latents.Length; c++)
            {
                ReadOnlySpan<float> values = _values[c].AsSpan(0, _filled);
                double sum = 0, squares = 0;
                foreach (float v in values) (sum, squares) = (sum + v, squares + (double)v * v);
                double mean = sum / Math.Max(1, _filled);
                if (_plan is not null && _byImage) _classes[c][_plan.ClassOfImage[_image]].Add(mean);
                if (sum <= 0) continue;
                Tally tally = _tallies[c];
                tally.Images++;
                tally.Coverage += sum * sum / (_filled * squares);
                if (background is not null && background.Length == _filled) tally.AddBackground(values, sum, background);
                tally.Keep(_image, mean, values, _options.Strongest);
            }
            _filled = 0;
            _image++;
        }

        public LatentProfile Describe(int c, long tokens, LatentPair[] nearest)
        {
            Tally tally = _tallies[c];
            int latent = _latents[c];
            return new LatentProfile
            {
                Latent = latent,
                Tokens = tokens,
                ActiveTokens = _active[latent],
                Images = _rows?.Count ?? 0,
                ActiveImages = _rows is null ? 0 : tally.Images,
                MeanActivation = _active[latent] > 0 ? tally.Sum / _active[latent] : 0,
                MaxActivation = tally.Max,
                Coverage = _rows is null || tally.Images == 0 ? double.NaN : tally.Coverage / tally.Images,
                Classes = [.. _classes[c].Select((t, i) => t.Describe(_plan!.Classes[i]))],
                Strongest = tally.Strongest,
                ByDirection = [.. nearest.Select(p => new LatentNeighbour(p.Second, p.Cosine))],
                ByActivity = [.. Enumerable.Range(0, _active.Length).Where(j => j != latent && _together[c][j] > 0)
                    .Select(j => new LatentNeighbour(j, (double)_together[c][j] / (_active[latent] + _active[j] - _together[c][j])))
                    .OrderByDescending(n => n.Value).ThenBy(n => n.Latent).Take(_options.Neighbours)],
                Background = tally.Background,
            };
        }
    }

    private sealed class Tally
    {
        private double _onBackground, _even, _measured;
        private int _measuredImages;

        public double Sum { get; private set; }
        public float Max { get; private set; }
        public int Images { get; set; }
        public double Coverage { get; set; }
        public List<StrongImage> Strongest { get; } = [];
        public BackgroundShare? Background => _measured > 0 ? new BackgroundShare(_onBackground / _measured, _even / _measured, _measuredImages) : null;

        public void Add(float value) => (Sum, Max) = (Sum + value, Math.Max(Max, value));

        public void AddBackground(ReadOnlySpan<float> values, double sum, float[] background)
        {
            double area = 0;
            for (int t = 0; t < background.Length; t++)
            {
                _onBackground += (double)values[t] * background[t];
                area += background[t];
            }
            _even += sum * area / background.Length;
            _measured += sum;
            _measuredImages++;
        }

        /// <summary>Images come in order, so among equals the first stays.</summary>
        public void Keep(int image, double mean, ReadOnlySpan<float> values, int most)
        {
            if (most == 0 || Strongest.Count == most && mean <= Strongest[^1].Mean) return;
            int at = Strongest.Count;
            while (at > 0 && Strongest[at - 1].Mean < mean) at--;
            Strongest.Insert(at, new StrongImage(image, mean, values.ToArray()));
            if (Strongest.Count > most) Strongest.RemoveAt(most);
        }
    }

    private sealed class ClassTally
    {
        private double _sum, _squares;
        private int _images, _activeImages;

        public long Tokens { get; set; }
        public long ActiveTokens { get; set; }

        public void Add(double mean)
        {
            _images++;
            _sum += mean;
            _squares += mean * mean;
            if (mean != 0) _activeImages++;
        }

        public ClassActivity Describe(string name)
        {
            double n = _images, mean = _images > 0 ? _sum / n : double.NaN;
            double error = _images > 1 ? Math.Sqrt(Math.Max(0, _squares - n * mean * mean) / (n - 1) / n) : double.NaN;
            return new ClassActivity(name, _images, mean, error, _activeImages / n, Tokens > 0 ? (double)ActiveTokens / Tokens : 0);
        }
    }
}
