#include "compare.h"

#include <cmath>

namespace polymla::test {

std::string compare(const std::vector<float>& found, const std::vector<double>& expected, const Tolerance& tolerance) {
  size_t wrong = 0;
  size_t firstWrong = 0;
  double dot = 0;
  double foundSquared = 0;
  double expectedSquared = 0;
  for (size_t i = 0; i < expected.size(); i++) {
    const double x = found[i];
    const double y = expected[i];
    bool right;
    if (std::isfinite(x) && std::isfinite(y)) {
      const double error = std::abs(x - y);
      right = error < tolerance.absolute || error / (std::abs(y) + 1e-6) < tolerance.relative;
      dot += x * y;
      foundSquared += x * x;
      expectedSquared += y * y;
    } else {
      right = (std::isnan(x) && std::isnan(y)) || x == y;
    }
    if (!right && wrong++ == 0) firstWrong = i;
  }
  if (wrong > 0) {
    return std::to_string(wrong) + " of " + std::to_string(expected.size()) + " wrong, first [" +
           std::to_string(firstWrong) + "]: found " + std::to_string(found[firstWrong]) + ", expected " +
           std::to_string(expected[firstWrong]);
  }
  const double squares = foundSquared + expectedSquared;
  const double difference = squares > 0 ? 1 - 2 * dot / squares : 0;
  return difference < tolerance.cosine ? "" : "cosine difference " + std::to_string(difference);
}

}  // namespace polymla::test
