// NVRTC's options in clang's terms.
#include "compiler.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <string_view>

namespace bs_emu {

namespace {

// Options of NVRTC that change nothing here, with and without a value.
constexpr std::string_view kIgnored[] = {"device-c",
                                         "relocatable-device-code",
                                         "dc",
                                         "rdc",
                                         "device-debug",
                                         "G",
                                         "generate-line-info",
                                         "lineinfo",
                                         "dopt",
                                         "Ofast-compile",
                                         "ptxas-options",
                                         "Xptxas",
                                         "ftz",
                                         "prec-sqrt",
                                         "prec-div",
                                         "use_fast_math",
                                         "extra-device-vectorization",
                                         "restrict",
                                         "device-as-default-execution-space",
                                         "default-device",
                                         "device-int128",
                                         "optimization-info",
                                         "opt-info",
                                         "display-error-number",
                                         "no-display-error-number",
                                         "no-source-include",
                                         "dlto",
                                         "pch",
                                         "diag-suppress",
                                         "diag-error",
                                         "diag-warn",
                                         "brief-diagnostics",
                                         "split-compile",
                                         "no-cache",
                                         "minimal",
                                         "fdevice-time-trace",
                                         "maxrregcount-hint",
                                         "builtin-move-forward",
                                         "builtin-initializer-list"};

bool takes_value(std::string_view name) {
    return name == "std" || name == "gpu-architecture" || name == "arch" || name == "maxrregcount" || name == "fmad" ||
           name == "include-path" || name == "define-macro" || name == "undefine-macro" || name == "pre-include" ||
           name == "include" || name == "ptxas-options" || name == "Xptxas" || name == "diag-suppress";
}

bool set_architecture(Options& options, const std::string& value) {
    options.cubin = value.rfind("sm_", 0) == 0;
    if (!options.cubin && value.rfind("compute_", 0) != 0)
        return false;
    auto digits = value.substr(value.find('_') + 1);
    options.arch_specific = !digits.empty() && (digits.back() == 'a' || digits.back() == 'f');
    if (options.arch_specific)
        digits.pop_back();
    if (digits.size() < 2 || !std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; }))
        return false;
    options.architecture = static_cast<unsigned>(std::atoi(digits.c_str()));
    return options.architecture >= 50 && options.architecture <= 129;
}

bool apply(Options& options, const std::string& name, const std::string& value) {
    if (name == "gpu-architecture" || name == "arch")
        return set_architecture(options, value);
    if (name == "std") {
        const auto standard = value == "c++20" || value == "c++23" ? value : "c++17";
        options.clang.push_back("-std=" + standard);
        return value.rfind("c++", 0) == 0;
    }
    if (name == "maxrregcount")
        options.max_registers = static_cast<unsigned>(std::max(0, std::atoi(value.c_str())));
    else if (name == "fmad")
        options.fused = value != "false";
    else if (name == "include-path")
        options.clang.push_back("-I" + value);
    else if (name == "define-macro")
        options.clang.push_back("-D" + value);
    else if (name == "undefine-macro")
        options.clang.push_back("-U" + value);
    else if (name == "disable-warnings" || name == "w")
        options.warnings = false;
    else
        return std::find(std::begin(kIgnored), std::end(kIgnored), name) != std::end(kIgnored);
    return true;
}

} // namespace

Options parse_options(int count, const char* const* arguments) {
    Options options;
    for (int i = 0; i < count; i++) {
        const std::string option = arguments[i] ? arguments[i] : "";
        std::string name, value;
        if (option.size() > 1 && option[0] == '-' && (option[1] == 'D' || option[1] == 'U' || option[1] == 'I')) {
            name = option[1] == 'D' ? "define-macro" : option[1] == 'U' ? "undefine-macro" : "include-path";
            value = option.substr(2);
            if (value.empty() && i + 1 < count)
                value = arguments[++i];
        } else {
            const auto begin = option.find_first_not_of('-');
            if (begin == std::string::npos || begin == 0 || begin > 2) {
                options.wrong = "unrecognized option '" + option + "' found";
                return options;
            }
            const auto equals = option.find('=');
            name = option.substr(begin, equals == std::string::npos ? std::string::npos : equals - begin);
            if (equals != std::string::npos)
                value = option.substr(equals + 1);
            else if (takes_value(name) && i + 1 < count)
                value = arguments[++i];
        }
        if (!apply(options, name, value)) {
            options.wrong = value.empty() ? "unrecognized option '" + option + "' found"
                                          : "invalid value '" + value + "' for option '" + name + "'";
            return options;
        }
    }
    return options;
}

} // namespace bs_emu
