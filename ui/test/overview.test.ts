import { describe, expect, it } from 'vitest'
import type { CheckRow, HostRow, ServiceRow } from '../src/lib/api'
import { parseMatcher, type Matcher } from '../src/lib/matchers'
import { byHost, byOwner, checksOf, groupOf, hostProblems, inScope, wide } from '../src/lib/overview'

const scope = (...texts: string[]) => texts.map(parseMatcher).filter((one): one is Matcher => one !== null)
const check = (name: string, target: string, labels = {}) => ({ id: name, name, target, labels }) as unknown as CheckRow
const service = (name: string, owner = '', state = 'ok') => ({ name, owner, state }) as ServiceRow
const host = (instance: string, figures: Partial<HostRow>) => ({ instance, cpu: null, memory: null, disk_worst: null, disk_mount: '/', inodes_worst: null, ...figures }) as HostRow

describe('a scope', () => {
  it('narrows rows by the labels they have, and says nothing of the others', () => {
    expect(inScope(scope('service=shop'), { service: 'shop' })).toBe(true)
    expect(inScope(scope('service=shop'), { service: 'pay' })).toBe(false)
    expect(inScope(scope('env=prod', 'service=shop'), { service: 'shop' })).toBe(true)
    expect(inScope(scope('env=prod'), { instance: 'db-1' })).toBe(true)
  })
  it('says what it does not reach', () => {
    expect(wide({ matchers: ['env="prod"'], unscoped: { hosts: ['env', 'team'], services: ['env'] } })).toEqual(['hosts (no label env, team)', 'services (no label env)'])
    expect(wide({ matchers: ['env="prod"'], unscoped: {} })).toEqual([])
  })
})

describe('problems', () => {
  it('are grouped only by what the address may say', () => {
    expect(groupOf('host')).toBe('host')
    expect(groupOf('nonsense')).toBe('')
  })

  it('of hosts are figures beyond their limits, the worst first', () => {
    const found = hostProblems([host('calm', { cpu: 0.5 }), host('full', { disk_worst: 0.97, cpu: 0.9 }), host('busy', { cpu: 0.9 })])
    expect(found.map((one) => [one.host.instance, one.look, one.figure])).toEqual([['full', 'critical', 'disk /'], ['busy', 'warning', 'CPU']])
  })

  it('of checks stand in the row of their service when services are asked for', () => {
    const checks = [check('a', 'http://x/', { service: 'shop' }), check('b', 'tcp y:1')]
    expect(checksOf('service', checks, [service('shop')]).map((one) => one.name)).toEqual(['b'])
    expect(checksOf('', checks, [service('shop')])).toHaveLength(2)
  })

  it('of checks stand under the host they look at', () => {
    const found = byHost([check('a', 'http://db-1:80/x'), check('b', 'db-2:5432'), check('c', 'https://db-2/'), check('d', 'x', { instance: 'db-2' })])
    expect(found.map((one) => [one.host, one.checks.length])).toEqual([['db-2', 3], ['db-1', 1]])
  })
})

it('whose services are well is told where several own some', () => {
  expect(byOwner([service('a', 'pay'), service('b', 'web', 'critical'), service('c', 'web'), service('d')])).toEqual([{ owner: 'pay', well: 1, all: 1 }, { owner: 'web', well: 1, all: 2 }])
  expect(byOwner([service('a', 'pay')])).toEqual([])
})
