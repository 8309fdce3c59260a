using System.Runtime.InteropServices;

namespace BioSup.Cli;

/// <summary>
/// Ctrl-C and SIGTERM ask the running command to stop at its next safe point; a second signal ends the process at once. A file beyond the limit of the
/// process (ulimit -f) is the error of the write that met it, not the end of the process with half a file on the disk.
/// </summary>
internal sealed class InterruptSignals : IDisposable
{
    private const PosixSignal FileSizeExceeded = (PosixSignal)25;
    private readonly CancellationTokenSource _source = new();
    private readonly PosixSignalRegistration[] _registrations;
    private int _exitCode;

    public InterruptSignals()
    {
        _registrations =
        [
            PosixSignalRegistration.Create(PosixSignal.SIGINT, signal => Handle(signal, 130)),
            PosixSignalRegistration.Create(PosixSignal.SIGTERM, signal => Handle(signal, 143)),
            .. OperatingSystem.IsLinux() ? [PosixSignalRegistration.Create(FileSizeExceeded, signal => signal.Cancel = true)] : Array.Empty<PosixSignalRegistration>(),
        ];
    }

    public CancellationToken Token => _source.Token;

    /// <summary>130 after Ctrl-C, 143 after SIGTERM, 0 when neither came.</summary>
    public int ExitCode => Volatile.Read(ref _exitCode);

    public string Message => ExitCode == 143
        ? "Terminated (SIGTERM); what was finished is kept, --resume continues where the command has it."
        : "Interrupted (Ctrl-C); what was finished is kept, --resume continues where the command has it.";

    public void Dispose()
    {
        foreach (PosixSignalRegistration registration in _registrations) registration.Dispose();
        _source.Dispose();
    }

    private void Handle(PosixSignalContext signal, int exitCode)
    {
        if (Interlocked.CompareExchange(ref _exitCode, exitCode, 0) != 0) return;
        signal.Cancel = true;
        _source.Cancel();
    }
}
