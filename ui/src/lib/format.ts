// Numbers, durations and instants as people read them. Nothing here reads a clock.

const SI = ['', 'k', 'M', 'G', 'T', 'P']
const IEC = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

export function number(value: number | null | undefined, digits = 3): string {
  if (value === null || value === undefined || Number.isNaN(value)) return '–'
  if (!Number.isFinite(value)) return value > 0 ? '∞' : '−∞'
  const size = Math.abs(value)
  if (size !== 0 && size < 0.001) return value.toExponential(1)
  if (size < 10_000) return trim(value, size >= 100 ? Math.min(1, digits) : digits)
  const power = Math.min(SI.length - 1, Math.floor(Math.log10(size) / 3))
  return `${trim(value / 1000 ** power, 1)} ${SI[power]}`
}

export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–'
  const power = value < 1 ? 0 : Math.min(IEC.length - 1, Math.floor(Math.log2(value) / 10))
  return `${trim(value / 1024 ** power, power === 0 ? 0 : 1)} ${IEC[power]}`
}

/** 0..1 as per cent; never rounds a fault away: 0.99999 is not "100 %". */
export function percent(value: number | null | undefined, digits = 1): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–'
  for (let places = digits; places <= 4; places++) {
    const text = (value * 100).toFixed(places)
    if (value >= 1 || Number(text) < 100) return `${text} %`
  }
  return '> 99.9999 %'
}

/** Seconds of a measurement: 0.000213 -> "213 µs", 0.412 -> "412 ms", 4.2 -> "4.2 s". */
export function seconds(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–'
  if (value === 0) return '0 s'
  if (value < 0.001) return `${trim(value * 1e6, 0)} µs`
  if (value < 1) return `${trim(value * 1000, value < 0.01 ? 1 : 0)} ms`
  return value < 120 ? `${trim(value, value < 10 ? 2 : 1)} s` : duration(value * 1000)
}

export function milliseconds(value: number | null | undefined): string {
  return value === null || value === undefined ? '–' : seconds(value / 1000)
}

/** How long something lasts or lasted, two units at most: "14m", "2h 05m", "3d 4h". */
export function duration(ms: number): string {
  const total = Math.max(0, Math.round(ms / 1000))
  const [d, h, m, s] = [Math.floor(total / 86_400), Math.floor(total / 3600) % 24, Math.floor(total / 60) % 60, total % 60]
  if (d >= 14) return `${d}d`
  if (d > 0) return h ? `${d}d ${h}h` : `${d}d`
  if (h > 0) return m ? `${h}h ${String(m).padStart(2, '0')}m` : `${h}h`
  if (m >= 10) return `${m}m`
  if (m > 0) return s ? `${m}m ${String(s).padStart(2, '0')}s` : `${m}m`
  return `${s}s`
}

export function ago(t_ms: number, now_ms: number): string {
  if (t_ms <= 0) return 'never'
  const past = now_ms - t_ms
  if (Math.abs(past) < 2000) return 'now'
  return past < 0 ? `in ${duration(-past)}` : `${duration(past)} ago`
}

/** "14:03", "Tue 14:03", "12 Nov 14:03", "12 Nov 2025": as much of the date as it takes. */
export function clock(t_ms: number, now_ms: number, zone: string | undefined): string {
  const age = Math.abs(now_ms - t_ms)
  const same = day(t_ms, zone) === day(now_ms, zone)
  const options: Intl.DateTimeFormatOptions = { hourCycle: 'h23', hour: '2-digit', minute: '2-digit', timeZone: zone }
  if (age < 3_600_000) options.second = '2-digit'
  if (!same) Object.assign(options, age < 6 * 86_400_000 ? { weekday: 'short' } : { day: 'numeric', month: 'short' })
  if (age > 300 * 86_400_000) options.year = 'numeric'
  return format(options).format(t_ms)
}

export function full(t_ms: number, zone: string | undefined): string {
  return format({ dateStyle: 'medium', timeStyle: 'long', hourCycle: 'h23', timeZone: zone }).format(t_ms)
}

export function day(t_ms: number, zone: string | undefined): string {
  return format({ year: 'numeric', month: '2-digit', day: '2-digit', timeZone: zone }).format(t_ms)
}

/** "16 – 22 Nov 2026": the days from the first to the last, each written no longer than it must be. */
export function spanOfDays(start_ms: number, end_ms: number, zone: string | undefined): string {
  return format({ day: 'numeric', month: 'short', year: 'numeric', timeZone: zone }).formatRange(start_ms, end_ms)
}

// Building a formatter costs 50 µs; a list of 2,000 rows would feel it.
const formatters = new Map<string, Intl.DateTimeFormat>()
function format(options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = JSON.stringify(options)
  let formatter = formatters.get(key)
  if (!formatter) formatters.set(key, (formatter = new Intl.DateTimeFormat('en-GB', options)))
  return formatter
}

function trim(value: number, digits: number): string {
  return value.toFixed(digits).replace(/(\.\d*?)0+$/, '$1').replace(/\.$/, '')
}

/** A value in its unit, as axes, tooltips and key figures write it. */
export function inUnit(value: number | null | undefined, unit: string): string {
  if (unit === 's' || unit === 'seconds') return seconds(value)
  if (unit === 'bytes') return bytes(value)
  if (unit === 'bytes/s') return value === null || value === undefined ? '–' : `${bytes(value)}/s`
  if (unit === 'ratio' || unit === '%') return percent(value)
  if (unit === 'days') return `${number(value, 1)} d`
  if (unit === 'bool') return value ? 'yes' : value === 0 ? 'no' : '–'
  return unit ? `${number(value)} ${unit}` : number(value)
}
