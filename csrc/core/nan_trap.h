// An observer at the door that raises at the first launch of its thread whose output is NaN.
#pragma once
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "core/launch.h"

namespace dlx {

struct NonFinite {
  int64_t nan = 0, inf = 0;
  int64_t first_nan = -1, first_inf = -1;  // row-major
};

class NanTrap final : public Observer {
 public:
  struct Place {
    int32_t layer = -1;
    std::string line;
  };
  using Where = std::function<Place()>;  // asked before every launch that is no replay's
  // How the message begins; empty where there is no layer, or an exception gets its name anyway.
  using Name = std::function<std::string(int32_t layer)>;

  NanTrap(bool inf, std::set<std::string> ignored, Where where, Name name)
      : inf_(inf), ignored_(std::move(ignored)), where_(std::move(where)), name_(std::move(name)) {}
  bool wants_parts() const override { return true; }
  void before(const Launch&) override;
  void after(const Launch&) override;  // FloatingPointError where an output has what is trapped

 private:
  bool trapped(const NonFinite& n) const { return n.nan > 0 || (inf_ && n.inf > 0); }
  std::string about_inputs(const Launch&) const;

  bool inf_;  // also at infinities
  std::set<std::string> ignored_;
  Where where_;
  Name name_;
  Place place_;                    // of the launch at hand
  std::vector<NonFinite> lost_;    // per input: what it had, where the launch may overwrite it
  std::vector<NonFinite> before_;  // the same of outputs that are updated
};

// Of a floating array on any device; nobody at the door sees the reading.
NonFinite non_finite(const Array&);

}  // namespace dlx
