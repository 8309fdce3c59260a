// Files and child processes, as the compiler needs them.
#pragma once

#include <string>
#include <vector>

namespace bs_emu {

// Runs a program found on PATH in `folder`; its standard output and error are joined. -1 where it cannot be started.
int run_process(const std::vector<std::string>& command, const std::string& folder, std::string& output);

bool write_file(const std::string& path, const std::string& bytes);
bool read_file(const std::string& path, std::string& bytes);
void make_folders(const std::string& path);
// Under a name of its own first, then renamed: readers see the whole file or none.
bool publish_file(const std::string& path, const std::string& bytes);

// A folder that is removed with everything in it.
class TemporaryFolder {
  public:
    TemporaryFolder();
    ~TemporaryFolder();
    const std::string& path() const { return _path; }

  private:
    std::string _path;
};

} // namespace bs_emu
