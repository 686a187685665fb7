import { describe, expect, it } from 'vitest'
import { baseline, signal } from '../src/lib/explain'

describe('explaining a spike', () => {
  it('compares with as long a time right before, or with the same time of another day', () => {
    expect(baseline({ from_ms: 1000, to_ms: 1600 }, 'before')).toEqual({ from_ms: 400, to_ms: 1000 })
    expect(baseline({ from_ms: 86_400_000, to_ms: 86_400_600 }, 'day')).toEqual({ from_ms: 0, to_ms: 600 })
  })
  it('asks about the errors, the slow ones or all requests of one service', () => {
    expect(signal('errors', 'a "b"')).toBe('sum(rate(http_server_request_duration_seconds_count{service="a \\"b\\"",http_response_status_code=~"5.."}[5m]))')
    expect(signal('slow', 'web')).toContain('histogram_quantile(0.95, sum by (le)')
    expect(signal('requests', 'web')).toBe('sum(rate(http_server_request_duration_seconds_count{service="web"}[5m]))')
  })
})
