#include "kernel_scan.h"

#include <cctype>
#include <cstdio>
#include <set>

namespace bs_emu {

namespace {

constexpr char kMark[] = "__attribute__((annotate(\"bs_global\")";

bool is_word(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
}

// Past white space and the preprocessor's line markers.
std::size_t skip_blank(const std::string& text, std::size_t at) {
    for (;;) {
        while (at < text.size() && std::isspace(static_cast<unsigned char>(text[at])))
            at++;
        if (at < text.size() && text[at] == '#')
            at = std::min(text.find('\n', at), text.size());
        else
            return at;
    }
}

// Past the bracket that closes the one at `at`.
std::size_t skip_brackets(const std::string& text, std::size_t at) {
    int depth = 0;
    for (; at < text.size(); at++) {
        if (text[at] == '"') {
            for (at++; at < text.size() && text[at] != '"'; at++)
                at += text[at] == '\\';
        } else if (text[at] == '(' || text[at] == '[' || text[at] == '{') {
            depth++;
        } else if (text[at] == ')' || text[at] == ']' || text[at] == '}') {
            if (--depth == 0)
                return at + 1;
        }
    }
    return at;
}

// A declaration counts when `extern "C"` precedes it, by itself or as a block around it.
bool is_extern_c(const std::string& text, std::size_t mark) {
    const auto end_before = text.find_last_of(";}{", mark);
    const auto begin = end_before == std::string::npos ? 0 : end_before + 1;
    if (text.substr(begin, mark - begin).find("extern \"C\"") != std::string::npos)
        return true;
    for (auto block = text.find("extern \"C\""); block < mark; block = text.find("extern \"C\"", block + 1)) {
        const auto brace = skip_blank(text, block + 10);
        if (brace < mark && text[brace] == '{' && skip_brackets(text, brace) > mark)
            return true;
    }
    return false;
}

// "const float* a, int n" to "a,n".
std::string names_of(const std::string& parameters) {
    std::string names, word;
    int depth = 0;
    for (const char c : parameters + ",") {
        if (c == '(' || c == '<' || c == '[')
            depth++;
        if (c == ',' && depth == 0) {
            if (!names.empty())
                names += ',';
            names += word;
            word.clear();
        } else if (depth == 0 && is_word(c)) {
            word += c;
        } else if (depth == 0) {
            if (c != ' ' || !word.empty())
                word.clear();
        }
        if (c == ')' || c == '>' || c == ']')
            depth--;
    }
    return names;
}

std::string quoted(const std::string& text) {
    std::string result = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\')
            result += '\\';
        result += c;
    }
    return result + "\"";
}

} // namespace

std::vector<KernelDeclaration> find_kernels(const std::string& text) {
    std::vector<KernelDeclaration> kernels;
    std::set<std::string> seen;
    for (auto mark = text.find(kMark); mark != std::string::npos; mark = text.find(kMark, mark + 1)) {
        if (!is_extern_c(text, mark))
            continue;
        KernelDeclaration kernel;
        auto at = mark;
        while (at < text.size()) {
            at = skip_blank(text, at);
            const auto begin = at;
            while (at < text.size() && is_word(text[at]))
                at++;
            const auto word = text.substr(begin, at - begin);
            if (word.empty())
                break;
            at = skip_blank(text, at);
            if (at >= text.size() || text[at] != '(')
                continue;
            const auto close = skip_brackets(text, at);
            const auto inside = text.substr(at + 1, close - at - 2);
            at = close;
            if (word == "__attribute__") {
                const std::string key = "annotate(\"bs_launch_bounds\",";
                const auto bounds = inside.find(key);
                if (bounds != std::string::npos) {
                    const auto open = bounds + 8;
                    kernel.bounds =
                        inside.substr(bounds + key.size(), skip_brackets(inside, open) - 1 - bounds - key.size());
                }
                continue;
            }
            kernel.name = word;
            kernel.parameter_names = names_of(inside);
            break;
        }
        if (!kernel.name.empty() && seen.insert(kernel.name).second)
            kernels.push_back(kernel);
    }
    return kernels;
}

std::string kernel_table(const std::vector<KernelDeclaration>& kernels, const std::string& program,
                         unsigned architecture, unsigned max_registers, bool sanitized) {
    std::string text = "\n# 1 \"kernel table\"\nextern \"C\" {\n"
                       "__attribute__((visibility(\"default\"), used)) bs_emu::Kernel bs_emu_kernels[] = {\n";
    for (const auto& kernel : kernels) {
        const auto entry = "bs_emu::Entry<&" + kernel.name + ">::";
        const auto bounds = "bs_emu::Bounds(" + kernel.bounds + ").";
        text += "{" + quoted(kernel.name) + ", " + quoted(kernel.parameter_names) + ", " + entry + "invoke, " + entry +
                "count, " + entry + "parameters, " + bounds + "threads, " + bounds + "blocks, 0},\n";
    }
    char numbers[80];
    std::snprintf(numbers, sizeof numbers, "%u, %u, %u", architecture, max_registers, sanitized ? 1u : 0u);
    text +=
        "{}};\n__attribute__((visibility(\"default\"), used)) bs_emu::Module bs_emu_module = {bs_emu::kAbiVersion, " +
        std::string(numbers) + ", " + quoted(program) + ", bs_emu_kernels, " + std::to_string(kernels.size()) +
        ", &bs_emu_runtime};\n}\n";
    return text;
}

} // namespace bs_emu
