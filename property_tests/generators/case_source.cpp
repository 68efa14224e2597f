#include "property_tests/generators/case_source.h"

#include "harness/core/random_stream.h"
#include "property_tests/generators/gen_case.h"

namespace packproof {
namespace {

CaseDomain domain_of(const DrawRequest& request, Op op) {
  CaseDomain domain;
  domain.op = op;
  domain.direction = request.direction;
  domain.layout = request.layout;
  domain.gate = request.gate;
  domain.max_tokens = request.max_tokens;
  domain.max_work = request.max_work;
  return domain;
}

}  // namespace

bool can_draw(Op op, Direction direction, LayoutClass layout, int64_t max_tokens) {
  CaseDomain domain;
  domain.op = op;
  domain.direction = direction;
  domain.layout = layout;
  domain.max_tokens = max_tokens;
  return is_reachable(domain);
}

std::vector<CaseSpec> draw_cases(const DrawRequest& request) {
  std::vector<CaseDomain> domains;
  for (const Op op : request.ops) {
    const CaseDomain domain = domain_of(request, op);
    if (is_reachable(domain)) domains.push_back(domain);
  }
  std::vector<CaseSpec> cases;
  if (domains.empty()) return cases;
  for (int64_t i = 0; i < request.count; ++i) {
    const CaseDomain& domain = domains[static_cast<std::size_t>(i) % domains.size()];
    // A seed per case and cell: one more op, layout or case leaves the others as they were.
    const uint64_t seed = RandomStream(request.seed, name_of(domain.op))
                              .at(static_cast<int64_t>(domain.direction))
                              .at(static_cast<int64_t>(domain.layout))
                              .at(static_cast<int64_t>(domain.gate))
                              .at(i)
                              .bits();
    cases.push_back(gen_case(domain)(rc::Random(seed)).value());
  }
  return cases;
}

}  // namespace packproof
