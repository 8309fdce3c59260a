using System.CommandLine;
using System.Text.Json.Nodes;
using BioSup.Runtime;

namespace BioSup.Cli;

/// <summary>Turns a function of (options, context) into a command with devices, signals, exit codes and JSON output taken care of.</summary>
internal static class CommandRunner
{
    /// <summary>
    /// Sets what the command does. The function returns the machine-readable result (printed with --json, logged with --log);
    /// what a person reads it prints with <see cref="CommandContext.Say"/>. Errors are thrown as <see cref="BiosupException"/>.
    /// </summary>
    public static Command Runs(this Command command, Func<ParseResult, CommandContext, JsonObject> body)
    {
        command.SetAction(parsed => Execute(command, parsed, body));
        return command;
    }

    private static int Execute(Command command, ParseResult parsed, Func<ParseResult, CommandContext, JsonObject> body)
    {
        TextWriter output = parsed.InvocationConfiguration.Output, error = parsed.InvocationConfiguration.Error;
        bool json = parsed.GetValue(GlobalOptions.Json);
        using InterruptSignals signals = new();
        EventLog? log = null;
        CreatedFolders created = new();
        try
        {
            if (parsed.GetValue(GlobalOptions.Log) is { } logFile) log = new EventLog(logFile);
            using CommandContext context = new(command.Name, parsed, signals.Token, log, created);
            JsonObject result = body(parsed, context);
            result.Insert(0, "command", JsonValue.Create(command.Name));
            log?.Write("result", result);
            if (json) Answer(output, result);
            return 0;
        }
        catch (OperationCanceledException) when (signals.ExitCode != 0)
        {
            return Fail(new ErrorReport(signals.Message, signals.ExitCode));
        }
        catch (Exception e)
        {
            // A cancelled worker may surface as another exception: what the person did is still the cause.
            return Fail(ErrorReport.From(e));
        }
        finally
        {
            log?.Dispose();
            if (log?.Failure is { } failure) error.WriteLine($"biosup: warning: --log {parsed.GetValue(GlobalOptions.Log)}: the log is incomplete ({failure}).");
        }

        static void Answer(TextWriter output, JsonObject result)
        {
            try
            {
                output.WriteLine(result.ToJsonString(JsonText.Readable));
            }
            catch (IOException e)
            {
                throw new DataException("standard output", null, $"the work is done, but its result could not be written here: {e.Message.TrimEnd('.')}", e);
            }
        }

        int Fail(ErrorReport report)
        {
            created.RemoveEmpty();
            log?.Write("error", report.ToJson());
            report.Print(json, output, error);
            return report.ExitCode;
        }
    }
}
