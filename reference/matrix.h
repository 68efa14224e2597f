#pragma once

#include <cstdint>
#include <vector>

namespace packproof::reference {

/// A small dense row-major matrix of doubles.
class Matrix {
 public:
  Matrix() = default;

  Matrix(int64_t rows, int64_t columns)
      : rows_(rows), columns_(columns), values_(static_cast<std::size_t>(rows * columns), 0.0) {}

  int64_t rows() const { return rows_; }

  int64_t columns() const { return columns_; }

  double* row(int64_t i) { return values_.data() + i * columns_; }

  const double* row(int64_t i) const { return values_.data() + i * columns_; }

  double& operator()(int64_t i, int64_t j) { return row(i)[j]; }

  double operator()(int64_t i, int64_t j) const { return row(i)[j]; }

  Matrix transposed() const {
    Matrix result(columns_, rows_);
    for (int64_t i = 0; i < rows_; ++i) {
      for (int64_t j = 0; j < columns_; ++j) result(j, i) = (*this)(i, j);
    }
    return result;
  }

  /// Row i times factors[i].
  Matrix scaled_rows(const std::vector<double>& factors) const {
    Matrix result = *this;
    for (int64_t i = 0; i < rows_; ++i) {
      for (int64_t j = 0; j < columns_; ++j) result(i, j) *= factors[static_cast<std::size_t>(i)];
    }
    return result;
  }

  /// Every element through `function`.
  template <typename Function>
  Matrix mapped(const Function& function) const {
    Matrix result = *this;
    for (double& value : result.values_) value = function(value);
    return result;
  }

  Matrix& operator+=(const Matrix& other) { return add(1.0, other); }

  Matrix& operator-=(const Matrix& other) { return add(-1.0, other); }

  Matrix& operator*=(double factor) {
    for (double& value : values_) value *= factor;
    return *this;
  }

  double dot(const Matrix& other) const {
    double sum = 0.0;
    for (std::size_t i = 0; i < values_.size(); ++i) sum += values_[i] * other.values_[i];
    return sum;
  }

 private:
  Matrix& add(double factor, const Matrix& other) {
    for (std::size_t i = 0; i < values_.size(); ++i) values_[i] += factor * other.values_[i];
    return *this;
  }

  int64_t rows_ = 0;
  int64_t columns_ = 0;
  std::vector<double> values_;
};

inline Matrix operator*(const Matrix& a, const Matrix& b) {
  Matrix result(a.rows(), b.columns());
  for (int64_t i = 0; i < a.rows(); ++i) {
    double* const target = result.row(i);
    for (int64_t p = 0; p < a.columns(); ++p) {
      const double factor = a(i, p);
      if (factor == 0.0) continue;  // Half of every triangle.
      const double* const source = b.row(p);
      for (int64_t j = 0; j < b.columns(); ++j) target[j] += factor * source[j];
    }
  }
  return result;
}

inline Matrix operator+(Matrix a, const Matrix& b) { return a += b; }

inline Matrix operator-(Matrix a, const Matrix& b) { return a -= b; }

inline Matrix operator*(double factor, Matrix a) { return a *= factor; }

/// Dot product of two rows.
inline double row_dot(const Matrix& a, int64_t i, const Matrix& b, int64_t j) {
  double sum = 0.0;
  for (int64_t p = 0; p < a.columns(); ++p) sum += a(i, p) * b(j, p);
  return sum;
}

}  // namespace packproof::reference
