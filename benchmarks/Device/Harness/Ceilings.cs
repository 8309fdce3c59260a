using System.Globalization;

namespace BioSup.Benchmarks.Device;

/// <summary>What limits a kernel.</summary>
internal enum Unit
{
    /// <summary>Bytes through device memory, read and written.</summary>
    Memory,

    /// <summary>Bytes read from device memory.</summary>
    Read,

    /// <summary>Operations in single precision outside the tensor cores.</summary>
    Single,

    /// <summary>Operations in double precision outside the tensor cores.</summary>
    Double,

    /// <summary>Operations of the tensor cores on tf32.</summary>
    Tf32,

    /// <summary>Operations of the tensor cores on bf16.</summary>
    Bf16,

    /// <summary>2^x.</summary>
    Exponential,

    /// <summary>Bytes of rows of 1 KiB gathered from the second-level cache.</summary>
    Gather,
}

/// <summary>An amount of work for a unit: operations, bytes or exponentials.</summary>
internal readonly record struct Load(Unit Unit, double Amount);

/// <summary>
/// The least time that work can take at the ceilings measured in the same run: within a stage units work side by side and the slowest counts,
/// stages follow one another.
/// </summary>
internal sealed class Roofline(params Load[][] stages)
{
    /// <summary>One stage.</summary>
    public static Roofline Of(params Load[] loads) => new(loads);

    public IReadOnlyList<Load[]> Stages { get; } = stages;

    /// <summary>Operations that the result needs: those of the loads together, unless a form does several of its own for one.</summary>
    public double Operations { get => field > 0 ? field : Sum(u => u is Unit.Single or Unit.Double or Unit.Tf32 or Unit.Bf16); init; }

    /// <summary>Bytes of device memory.</summary>
    public double Bytes => Sum(u => u is Unit.Memory or Unit.Read);

    private double Sum(Func<Unit, bool> counts) => Stages.SelectMany(s => s).Where(l => counts(l.Unit)).Sum(l => l.Amount);
}

/// <summary>Rates that this device was measured to reach, per second. The best contender for a unit sets its ceiling.</summary>
internal sealed class Ceilings
{
    private readonly Dictionary<Unit, double> _rates = [];

    public static Ceilings From(IEnumerable<Figure> figures)
    {
        Ceilings ceilings = new();
        foreach (Figure figure in figures)
        {
            if (figure is not { Status: FigureStatus.Measured, Ceiling: { } name, Value: { } value }) continue;
            if (!Enum.TryParse(name, ignoreCase: true, out Unit unit)) continue;
            ceilings._rates[unit] = Math.Max(value, ceilings._rates.GetValueOrDefault(unit));
        }
        return ceilings;
    }

    public bool IsEmpty => _rates.Count == 0;

    /// <summary>Rate of a unit, or null where it was not measured.</summary>
    public double? this[Unit unit] => _rates.TryGetValue(unit, out double rate) ? rate : null;

    /// <summary>Milliseconds at the ceilings with the name of the limiting one, or null where one of them was not measured.</summary>
    public (double Milliseconds, string Limit)? Floor(Roofline roofline)
    {
        double total = 0, longest = -1;
        string limit = "";
        foreach (Load[] stage in roofline.Stages)
        {
            double slowest = 0;
            foreach (Load load in stage)
            {
                if (this[load.Unit] is not { } rate) return null;
                double ms = 1e3 * load.Amount / rate;
                slowest = Math.Max(slowest, ms);
                if (ms <= longest) continue;
                longest = ms;
                limit = Describe(load.Unit, rate);
            }
            total += slowest;
        }
        return (total, limit);
    }

    public static string Describe(Unit unit, double rate)
    {
        (string name, double scale, string symbol) = unit switch
        {
            Unit.Memory => ("copy", 1e-9, "GB/s"),
            Unit.Read => ("read", 1e-9, "GB/s"),
            Unit.Gather => ("gather", 1e-9, "GB/s"),
            Unit.Exponential => ("ex2", 1e-12, "T/s"),
            _ => (unit switch { Unit.Single => "fp32", Unit.Double => "fp64", Unit.Tf32 => "tf32", _ => "bf16" }, 1e-12, "TFLOP/s"),
        };
        return string.Create(CultureInfo.InvariantCulture, $"{name} {rate * scale:G4} {symbol}");
    }
}
