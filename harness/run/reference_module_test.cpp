#include "harness/run/reference_module.h"

#include <cstdlib>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

namespace packproof {
namespace {

/// Sets the variable for one test.
class ModuleFolder {
 public:
  explicit ModuleFolder(const char* value) {
    if (const char* old = std::getenv(kName); old != nullptr) old_ = old;
    setenv(kName, value, 1);
  }

  ~ModuleFolder() { old_.empty() ? unsetenv(kName) : setenv(kName, old_.c_str(), 1); }

 private:
  static constexpr const char* kName = "PACKPROOF_MODULE_DIR";
  std::string old_;
};

TEST(ReferenceModule, LiesBesideTheProgramOrWhereTheVariableSays) {
  {
    const ModuleFolder folder("");
    EXPECT_EQ(reference_module_path().parent_path(),
              std::filesystem::read_symlink("/proc/self/exe").parent_path());
  }
  const ModuleFolder folder("/some/folder");
  EXPECT_EQ(reference_module_path(), "/some/folder/packproof_reference.so");
}

TEST(ReferenceModuleDeathTest, AbsenceIsASentence) {
  // A process of its own: what is loaded first stays.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const ModuleFolder folder("/no/such/folder");
  EXPECT_EXIT(
      {
        const auto reference = load_reference();
        const bool named =
            !reference.ok() && reference.error().code == Code::kInfrastructure &&
            reference.error().message.find(
                "'/no/such/folder/packproof_reference.so' is not there") != std::string::npos;
        std::exit(named ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace packproof
