import { describe, expect, it } from 'vitest'
import { splitComparison } from '../src/lib/expression'

describe('value and limit of a rule', () => {
  it.each([
    ['a / b > 0.05', 'a / b', 0.05],
    ['rate(x{le=~"5|5.0"}[5m]) >= 2', 'rate(x{le=~"5|5.0"}[5m])', 2],
    ['sum(a > 3) > 5', 'sum(a > 3)', 5],
    ['service:p95 > 1\nand service:slow >= 3\nand service:slow > 0.03 * service:all', 'service:p95', 1],
    ['up == 0', 'up', 0],
    ['predict(x[6h], 14400) < -1e3', 'predict(x[6h], 14400)', -1000],
    ['x{a="b > 3"} > 4', 'x{a="b > 3"}', 4],
  ])('%s', (expression, value, limit) => expect(splitComparison(expression)).toEqual({ value, limit }))

  it.each(['up', 'pg_up == 0 or mysql_up == 0', 'a > b', 'a > 1 or b > 2', 'absent(up)', '1 < x', 'a and b > 3', 'a > 1 and b or c'])('%s stays whole', (expression) =>
    expect(splitComparison(expression)).toEqual({ value: expression, limit: null }),
  )
})
