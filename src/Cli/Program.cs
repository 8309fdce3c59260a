using BioSup.Cli;

return BiosupApplication.Run(args, Console.Out, Console.Error);
