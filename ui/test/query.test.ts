import { afterEach, describe, expect, it, vi } from 'vitest'
import { highestQuery, rangeQuery } from '../src/lib/query'

afterEach(() => vi.unstubAllGlobals())

/** What was asked, and answers made from it. */
function server(answer: (asked: URLSearchParams) => object | number): URLSearchParams[] {
  const asked: URLSearchParams[] = []
  vi.stubGlobal('location', { origin: 'http://tocsin.example', pathname: '/' })
  vi.stubGlobal('document', { querySelector: () => null, baseURI: 'http://tocsin.example/' })
  vi.stubGlobal('fetch', async (url: string) => {
    const parameters = new URLSearchParams(String(url).split('?')[1])
    asked.push(parameters)
    const made = answer(parameters)
    return typeof made === 'number' ? new Response(JSON.stringify({ status: 'error', errorType: 'execution', error: 'too many samples' }), { status: made }) : new Response(JSON.stringify({ status: 'success', ...made }))
  })
  return asked
}
const DAY = { from_ms: 0, to_ms: 86_400_000 }
const matrix = (rows: [string, number][][], infos: string[] = []) => ({ data: { resultType: 'matrix', result: rows.map((values, index) => ({ metric: { i: String(index) }, values: values.map(([value, t]) => [t, value]) })) }, infos })

describe('a chart of a day', () => {
  it('is asked for finely, its peaks kept, and the mean of all samples is told apart', async () => {
    const asked = server((parameters) => matrix([parameters.get('peaks') ? [['9', 0], ['1', 180]] : [['2', 0], ['4', 180]]]))
    const { lines } = await rangeQuery('queue', DAY, 500, undefined, 20, { fine: 8, means: true })
    expect(asked.map((one) => [Number(one.get('step')) < 60, one.get('peaks')]).sort()).toEqual([[false, null], [true, '500']])
    expect([lines[0]?.values[0], lines[0]?.mean]).toEqual([9, 3])
  })
  it('of windows that cover the step is asked for once, as before; and with a step of its own by that step', async () => {
    const asked = server(() => matrix([[['1', 0]]]))
    await rangeQuery('rate(x[5m])', DAY, 500, undefined, 20)
    await rangeQuery('queue', DAY, 500, undefined, 20, { step_s: 3600 })
    expect(asked.map((one) => one.get('peaks'))).toEqual([null, null])
    expect(asked[1]?.get('step')).toBe('3600')
  })
  it('of more series than can be looked at finely is looked at coarsely', async () => {
    const asked = server((parameters) => (parameters.get('peaks') ? 422 : matrix([[['1', 0]]])))
    expect((await rangeQuery('queue', DAY, 240)).lines).toHaveLength(1)
    expect(asked.map((one) => Boolean(one.get('peaks')))).toEqual([true, false])
  })
  it('that is wrong stays wrong', async () => {
    server(() => 400)
    await expect(rangeQuery('queue', DAY, 240)).rejects.toMatchObject({ status: 400 })
  })
})

describe('where small values are bad', () => {
  it('the lowest are asked for, and how many there are is known', async () => {
    const asked = server(() => ({ data: { resultType: 'vector', result: [{ metric: {}, value: [0, '0.5'] }] }, infos: ['lowest: 1 of 3000 series'] }))
    expect(await highestQuery('up', 0, 1, undefined, true)).toMatchObject({ total: 3000 })
    expect([asked[0]?.get('lowest'), asked[0]?.get('highest')]).toEqual(['1', null])
  })
})
