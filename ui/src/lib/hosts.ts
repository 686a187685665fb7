// A host's figures as PromQL over node_exporter's names, and when its disks will be full.

import type { Labels } from './api'
import type { PromSeries } from './prom'
import { instantQuery } from './query'
import type { Named } from './red'

/** Pseudo file systems would always be the fullest ones (web/api/metrics_view.py has the same list). */
const REAL = 'fstype!~"tmpfs|devtmpfs|overlay|squashfs|proc|sysfs|ramfs|iso9660|autofs|fuse.*",mountpoint!~"/(dev|proc|sys|run)(/.*)?"'
const WIRED = 'device!~"lo|veth.*|ifb.*|docker.*|br-.*"'
const LOOKBACK = '6h'
/** Samples within the lookback below which a course says nothing: an hour of one every 15 s. */
const ENOUGH = 240

export const own = (instance: string) => `instance=${JSON.stringify(instance)}`

export interface Picture { title: string; unit: string; queries: Named[] }

export function pictures(instance: string): Picture[] {
  const me = own(instance)
  const rate = (metric: string, more = '') => `rate(${metric}{${me}${more && `,${more}`}}[2m])`
  return [
    { title: 'CPU by mode', unit: 'ratio', queries: [{ name: '', query: `avg by (mode) (${rate('node_cpu_seconds_total', 'mode!="idle"')})` }] },
    { title: 'Load', unit: '', queries: ['1', '5', '15'].map((minutes) => ({ name: `${minutes} min`, query: `node_load${minutes}{${me}}` })) },
    { title: 'Memory', unit: 'bytes', queries: [{ name: 'used', query: `node_memory_MemTotal_bytes{${me}} - node_memory_MemAvailable_bytes{${me}}` }, { name: 'all', query: `node_memory_MemTotal_bytes{${me}}` }, { name: 'swap used', query: `node_memory_SwapTotal_bytes{${me}} - node_memory_SwapFree_bytes{${me}}` }] },
    { title: 'Disk in use', unit: 'ratio', queries: [{ name: '', query: `max by (mountpoint) (1 - node_filesystem_avail_bytes{${me},${REAL}} / node_filesystem_size_bytes{${me},${REAL}})` }] },
    { title: 'Inodes in use', unit: 'ratio', queries: [{ name: '', query: `max by (mountpoint) (1 - node_filesystem_files_free{${me},${REAL}} / (node_filesystem_files{${me},${REAL}} > 0))` }] },
    { title: 'Read and written', unit: 'bytes/s', queries: [{ name: 'read', query: `sum by (device) (${rate('node_disk_read_bytes_total')})` }, { name: 'written', query: `sum by (device) (${rate('node_disk_written_bytes_total')})` }] },
    { title: 'Disk busy', unit: 'ratio', queries: [{ name: '', query: `max by (device) (${rate('node_disk_io_time_seconds_total')})` }] },
    { title: 'Network', unit: 'bytes/s', queries: [{ name: 'in', query: `sum by (device) (${rate('node_network_receive_bytes_total', WIRED)})` }, { name: 'out', query: `sum by (device) (${rate('node_network_transmit_bytes_total', WIRED)})` }] },
    { title: 'Processes', unit: '', queries: [{ name: 'running', query: `node_procs_running{${me}}` }, { name: 'waiting for the disk', query: `node_procs_blocked{${me}}` }, { name: 'started/s', query: rate('node_forks_total') }] },
    { title: 'Time spent waiting', unit: 'ratio', queries: [{ name: 'for CPU', query: rate('node_pressure_cpu_waiting_seconds_total') }, { name: 'for memory', query: rate('node_pressure_memory_waiting_seconds_total') }, { name: 'for disk', query: rate('node_pressure_io_waiting_seconds_total') }] },
  ]
}

/** The host that an address, an URL or `host:port` leads to; empty for what names none. */
export function hostOf(target: string): string {
  const bare = target.replace(/^[a-z][a-z0-9+.-]*:\/\//i, '').replace(/^[^@/]*@/, '').split(/[/?#]/)[0] ?? ''
  const six = /^\[([^\]]+)\]/.exec(bare)
  return (six?.[1] ?? bare.replace(/:\d+$/, '')).toLowerCase()
}

/** Checks that look at this machine: those that say so by their label, and those whose target is it. */
export function checksOn<T extends { target: string; labels: Labels }>(instance: string, checks: T[]): T[] {
  const name = hostOf(instance)
  return checks.filter((one) => one.labels.instance === instance || one.labels.host === name || (name !== '' && hostOf(one.target) === name))
}

export interface Mount { instance: string; mountpoint: string; device: string; size: number; available: number; inodes: number | null; full_ms: number | null }

/** File systems with their forecast: `full_ms` = how long until full at the pace of the last hours; null = not filling, or too young to say. */
export async function mounts(instance: string, now_ms: number, signal?: AbortSignal): Promise<Mount[]> {
  const which = instance ? `{${own(instance)},${REAL}}` : `{${REAL}}`
  const [size, available, free, files, slope] = await Promise.all(
    [
      `node_filesystem_size_bytes${which}`,
      `node_filesystem_avail_bytes${which}`,
      `node_filesystem_files_free${which}`,
      `node_filesystem_files${which} > 0`,
      `deriv(node_filesystem_avail_bytes${which}[${LOOKBACK}]) and count_over_time(node_filesystem_avail_bytes${which}[${LOOKBACK}]) >= ${ENOUGH}`,
    ].map((query) => instantQuery(query, now_ms, signal)),
  )
  return joined(size ?? [], { available: available ?? [], free: free ?? [], files: files ?? [], slope: slope ?? [] })
}

const key = (labels: Labels) => `${labels.instance} ${labels.mountpoint}`

export function joined(size: PromSeries[], others: Record<'available' | 'free' | 'files' | 'slope', PromSeries[]>): Mount[] {
  const index = (series: PromSeries[]) => new Map(series.map((one) => [key(one.metric), Number(one.value?.[1] ?? NaN)]))
  const [available, free, files, slope] = [others.available, others.free, others.files, others.slope].map(index)
  return size
    .map((one) => {
      const at = key(one.metric)
      const left = available?.get(at) ?? NaN
      const [count, unused] = [files?.get(at), free?.get(at)]
      return {
        instance: one.metric.instance ?? '',
        mountpoint: one.metric.mountpoint ?? '',
        device: one.metric.device ?? '',
        size: Number(one.value?.[1]),
        available: left,
        inodes: count && unused !== undefined ? 1 - unused / count : null,
        full_ms: untilFull(left, slope?.get(at)),
      }
    })
    .sort((a, b) => (a.full_ms ?? Infinity) - (b.full_ms ?? Infinity) || a.available / a.size - b.available / b.size)
}

const A_YEAR_MS = 365 * 86_400_000

/** Bytes left and bytes a second (negative = filling) -> ms until nothing is left; null when it does not fill within a year. */
export function untilFull(left: number, slope: number | undefined): number | null {
  if (slope === undefined || !Number.isFinite(slope) || slope >= 0 || !Number.isFinite(left)) return null
  const ms = (left / -slope) * 1000
  return ms > A_YEAR_MS ? null : ms
}
