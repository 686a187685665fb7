import { afterEach, expect, test, vi } from 'vitest'
import { askEarly, get, isAbort } from '../src/lib/client'

afterEach(() => vi.unstubAllGlobals())

function answering(...bodies: object[]) {
  const asked: string[] = []
  vi.stubGlobal('fetch', (url: string) => {
    asked.push(url)
    return Promise.resolve(Response.json(bodies.shift() ?? {}))
  })
  return asked
}

test('what was asked early is given to the first who wants it, and only to the first', async () => {
  const asked = answering({ n: 1 }, { n: 2 })
  askEarly('/overview')
  expect(await get('/overview')).toEqual({ n: 1 })
  expect(asked.length).toBe(1)
  expect(await get('/overview')).toEqual({ n: 2 })
  expect(asked).toEqual(['/api/tocsin/v1/overview', '/api/tocsin/v1/overview'])
})

test('an early answer is not given to who went away meanwhile', async () => {
  answering({ n: 1 })
  askEarly('/overview')
  const gone = new AbortController()
  const answer = get('/overview', gone.signal).catch(isAbort)
  gone.abort()
  expect(await answer).toBe(true)
})

test('an early question that fails is told to who wants the answer', async () => {
  vi.stubGlobal('fetch', () => Promise.resolve(Response.json({ title: 'Not yet', detail: 'in a moment' }, { status: 409 })))
  askEarly('/overview')
  await expect(get('/overview')).rejects.toMatchObject({ status: 409, detail: 'in a moment' })
})
