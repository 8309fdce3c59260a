#include "shared_usage.h"

#include "../include/bs_emulator_abi.h"

#include <cstddef>
#include <cstring>
#include <elf.h>
#include <set>
#include <vector>

namespace bs_emu {

namespace {

// A bounds-checked look at an ELF file; what lies outside reads as zeros.
class ElfFile {
  public:
    explicit ElfFile(const std::string& bytes) : _bytes(bytes) {
        const auto header = at<Elf64_Ehdr>(0);
        for (unsigned i = 0; i < header.e_shnum; i++)
            sections.push_back(at<Elf64_Shdr>(header.e_shoff + i * sizeof(Elf64_Shdr)));
    }
    template <class T> T at(std::size_t offset) const {
        T value{};
        if (offset <= _bytes.size() && sizeof(T) <= _bytes.size() - offset)
            std::memcpy(&value, _bytes.data() + offset, sizeof(T));
        return value;
    }
    template <class T> std::vector<T> table(const Elf64_Shdr& section) const {
        std::vector<T> entries;
        for (std::size_t i = 0; i + sizeof(T) <= section.sh_size; i += sizeof(T))
            entries.push_back(at<T>(section.sh_offset + i));
        return entries;
    }
    std::string text(std::size_t strings, std::size_t offset) const {
        const auto begin = strings < sections.size() ? sections[strings].sh_offset + offset : _bytes.size();
        return begin < _bytes.size() ? std::string(_bytes.c_str() + begin) : "";
    }
    std::vector<Elf64_Shdr> sections;

  private:
    const std::string& _bytes;
};

} // namespace

// Every function and every variable has a section of its own, so that relocations say who uses what.
std::map<std::string, unsigned> shared_bytes(const std::string& object) {
    const ElfFile elf(object);
    std::map<unsigned, std::set<unsigned>> uses; // section to the sections it refers to
    std::map<std::string, unsigned> functions;   // name to section
    for (const auto& section : elf.sections) {
        if (section.sh_type == SHT_SYMTAB) {
            for (const auto& symbol : elf.table<Elf64_Sym>(section)) {
                if (ELF64_ST_TYPE(symbol.st_info) == STT_FUNC && symbol.st_shndx < elf.sections.size())
                    functions[elf.text(section.sh_link, symbol.st_name)] = symbol.st_shndx;
            }
        }
        if (section.sh_type != SHT_RELA || section.sh_link >= elf.sections.size())
            continue;
        const auto symbols = elf.table<Elf64_Sym>(elf.sections[section.sh_link]);
        for (const auto& relocation : elf.table<Elf64_Rela>(section)) {
            const auto index = ELF64_R_SYM(relocation.r_info);
            if (index < symbols.size() && symbols[index].st_shndx < elf.sections.size())
                uses[section.sh_info].insert(symbols[index].st_shndx);
        }
    }
    std::map<std::string, unsigned> result;
    for (const auto& [name, first] : functions) {
        std::set<unsigned> seen{first};
        std::vector<unsigned> open{first};
        unsigned bytes = 0;
        while (!open.empty()) {
            const auto at = open.back();
            open.pop_back();
            const auto& section = elf.sections[at];
            if (section.sh_flags & SHF_TLS) {
                const auto alignment = section.sh_addralign > 0 ? section.sh_addralign : 1;
                bytes = static_cast<unsigned>((bytes + alignment - 1) / alignment * alignment + section.sh_size);
            }
            for (const auto next : uses[at]) {
                const auto flags = elf.sections[next].sh_flags;
                if ((flags & (SHF_TLS | SHF_EXECINSTR)) && seen.insert(next).second)
                    open.push_back(next);
            }
        }
        result[name] = bytes;
    }
    return result;
}

bool write_shared_bytes(std::string& module, const std::map<std::string, unsigned>& bytes,
                        const std::string* kernel_names, unsigned kernel_count) {
    const ElfFile elf(module);
    for (const auto& section : elf.sections) {
        if (section.sh_type != SHT_DYNSYM)
            continue;
        for (const auto& symbol : elf.table<Elf64_Sym>(section)) {
            if (elf.text(section.sh_link, symbol.st_name) != "bs_emu_kernels" || symbol.st_shndx >= elf.sections.size())
                continue;
            const auto& home = elf.sections[symbol.st_shndx];
            const auto table = home.sh_offset + (symbol.st_value - home.sh_addr);
            for (unsigned i = 0; i < kernel_count; i++) {
                const auto found = bytes.find(kernel_names[i]);
                const unsigned value = found == bytes.end() ? 0 : found->second;
                const auto offset = table + i * sizeof(Kernel) + offsetof(Kernel, shared_bytes);
                if (offset + sizeof value > module.size())
                    return false;
                std::memcpy(module.data() + offset, &value, sizeof value);
            }
            return true;
        }
    }
    return false;
}

} // namespace bs_emu
