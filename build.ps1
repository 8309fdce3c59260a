#!/usr/bin/env pwsh
# The developer's entrance:  build.ps1 -Target Restore|Format|Build|Test|Demo|Bench|Publish|Gpu|Version|All  [-DryRun] [-Fix]
#
# Only language constructs, .NET types and native commands are used, no cmdlets, so that it runs under any PowerShell and any host of it.
# It stops at the first command that fails and exits with that command's code; 2 means that the target does not exist.
# -DryRun prints the commands without running them. -Fix makes Format write its changes instead of only naming them.
param(
    [string] $Target = 'Build',
    [switch] $DryRun,
    [switch] $Fix
)

$root = if ($PSScriptRoot) { $PSScriptRoot } else { [System.Environment]::CurrentDirectory }
$solution = 'BioSup.Native.sln'

function Get-EngineVersion {
    $props = [System.Xml.Linq.XDocument]::Load([System.IO.Path]::Combine($root, 'Directory.Build.props'))
    foreach ($element in $props.Descendants('Version')) { return $element.Value }
    throw 'Directory.Build.props names no <Version>.'
}

# One verb: the arguments of every dotnet command it runs, in order.
function Get-Commands([string] $verb) {
    switch ($verb) {
        'Restore' { return , @(, @('restore', $solution, '--locked-mode')) }
        'Format' {
            # Checked as text, in seconds: rules of style are errors of the build, the order of imports is a test. -Fix mends all three.
            if ($Fix) { return , @(, @('format', $solution, '--no-restore')) }
            return , @(, @('format', 'whitespace', '.', '--folder', '--exclude', 'artifacts', '--verify-no-changes'))
        }
        'Build' { return , @(, @('build', $solution, '-c', 'Release', '--no-restore', '-warnaserror')) }
        'Test' { return , @(, @('test', $solution, '-c', 'Release')) }
        'Demo' { return , @(, @('run', '-c', 'Release', '--project', 'src/Cli', '--', 'demo')) }
        'Bench' { return , @(, @('run', '-c', 'Release', '--project', 'benchmarks/Host', '--', 'all')) }
        'Publish' {
            return , @(, @('publish', 'src/Cli', '-c', 'Release', '-r', 'linux-x64', '--self-contained', 'true', '-p:PublishReadyToRun=true',
                    '-o', 'artifacts/publish/biosup-linux-x64'))
        }
        'Gpu' {
            # The programs first, each with what it needs: the pack takes them as they were built.
            return @(@('build', 'src/Cli', '-c', 'Release'), @('build', 'tests/Kernels.Tests', '-c', 'Release'),
                @('run', '-c', 'Release', '--project', 'benchmarks/Device', '--', 'pack', '--out', 'artifacts/gpu'))
        }
    }
}

$verbs = @('Restore', 'Format', 'Build', 'Test', 'Demo', 'Bench', 'Publish', 'Gpu')
if ($Target -eq 'Version') {
    [System.Console]::Out.WriteLine((Get-EngineVersion))
    exit 0
}
if ($Target -eq 'All') { $plan = @('Restore', 'Format', 'Build', 'Test', 'Demo', 'Publish') }
elseif ($verbs -contains $Target) { $plan = @($Target) }
else {
    [System.Console]::Error.WriteLine("build.ps1: there is no target '$Target'; choose one of $([string]::Join(', ', $verbs)), Version, All.")
    exit 2
}

$before = [System.Environment]::CurrentDirectory
foreach ($verb in $plan) {
    foreach ($arguments in (Get-Commands $verb)) {
        [System.Console]::Out.WriteLine("$verb> dotnet $([string]::Join(' ', $arguments))")
        if ($DryRun) { continue }
        # A process of its own: native commands inherit the location of the shell, which need not be the repository.
        $start = [System.Diagnostics.ProcessStartInfo]::new('dotnet')
        $start.WorkingDirectory = $root
        foreach ($argument in $arguments) { $start.ArgumentList.Add($argument) }
        $process = [System.Diagnostics.Process]::Start($start)
        $process.WaitForExit()
        if ($process.ExitCode -ne 0) {
            [System.Console]::Error.WriteLine("build.ps1: $verb failed with exit code $($process.ExitCode).")
            exit $process.ExitCode
        }
    }
}
exit 0
