using System.Diagnostics;
using System.Globalization;
using BioSup.Runtime;

namespace BioSup.Cli;

/// <summary>Progress on stderr: one line redrawn in place on a terminal, otherwise a line every few seconds.</summary>
internal sealed class ConsoleProgress(TextWriter error, EventLog? log) : IProgressReporter
{
    private static readonly TimeSpan s_terminalInterval = TimeSpan.FromMilliseconds(100), s_plainInterval = TimeSpan.FromSeconds(5);
    private readonly bool _terminal = ReferenceEquals(error, Console.Error) && !Console.IsErrorRedirected;
    private readonly Lock _gate = new();
    private readonly Stopwatch _sinceDrawn = Stopwatch.StartNew();
    private readonly Stopwatch _sinceStage = Stopwatch.StartNew();
    private string _stage = "";
    private long _firstDone;
    private int _drawn;

    public void Report(string stage, long done, long total, string? detail = null)
    {
        lock (_gate)
        {
            bool first = stage != _stage;
            if (first)
            {
                EndLine();
                _stage = stage;
                _firstDone = done;
                _sinceStage.Restart();
            }
            bool last = total > 0 && done >= total;
            if (!first && !last && _sinceDrawn.Elapsed < (_terminal ? s_terminalInterval : s_plainInterval)) return;
            // A stage that is over within the first interval needs no second plain line.
            if (!_terminal && last && !first && _sinceStage.Elapsed < s_plainInterval) return;
            _sinceDrawn.Restart();
            Draw(done, total, detail, last);
            log?.Write("progress", new() { ["stage"] = stage, ["done"] = done, ["total"] = total, ["detail"] = detail });
        }
    }

    /// <summary>Leaves the line in place and moves on.</summary>
    public void Finish()
    {
        lock (_gate)
        {
            EndLine();
            _stage = "";
        }
    }

    private void Draw(long done, long total, string? detail, bool last)
    {
        string share = total > 0 ? string.Create(CultureInfo.InvariantCulture, $"{100.0 * done / total,3:F0} %") : done > 0 ? done.ToString("N0", CultureInfo.InvariantCulture) : "";
        string left = Remaining(done, total, last);
        if (!_terminal)
        {
            error.WriteLine(string.Join("  ", new[] { _stage, share.Trim(), detail ?? "", left }.Where(s => s.Length > 0)));
            return;
        }
        const int width = 24;
        int filled = total > 0 ? (int)Math.Clamp(width * done / total, 0, width) : 0;
        string bar = total > 0 ? $"[{new string('=', filled)}{new string(' ', width - filled)}] " : "";
        string line = $"{_stage}  {bar}{share}  {detail}  {left}";
        int columns = Math.Max(20, Console.WindowWidth - 1);
        if (line.Length > columns) line = line[..columns];
        error.Write('\r' + line.PadRight(_drawn));
        _drawn = line.Length;
        if (last) EndLine();
    }

    private string Remaining(long done, long total, bool last)
    {
        double seconds = _sinceStage.Elapsed.TotalSeconds;
        if (last || total <= 0 || done <= _firstDone || seconds < 2) return "";
        TimeSpan left = TimeSpan.FromSeconds(seconds * (total - done) / (done - _firstDone));
        return left.TotalHours >= 1 ? $"{left:h\\:mm\\:ss} left" : $"{left:m\\:ss} left";
    }

    private void EndLine()
    {
        if (_drawn == 0) return;
        error.WriteLine();
        _drawn = 0;
    }
}
