// Which code travels together: one file for everything that the first page needs, one for what most other pages share, and the rest by
// page. The bundler alone would cut a page into up to twenty-five files of a few hundred bytes, each a request of its own.

const SHARED_BY = 5

export function chunks() {
  const first = new Set()
  const charts = new Set()
  /** Adds everything that `next` leads to. */
  const spread = (from, into, next) => {
    const waiting = [...from]
    for (const id of waiting) {
      if (into.has(id)) continue
      into.add(id)
      waiting.push(...next(id))
    }
  }
  return {
    plugin: {
      name: 'tocsin-chunks',
      apply: 'build',
      buildEnd() {
        const known = [...this.getModuleIds()]
        spread(known.filter((id) => this.getModuleInfo(id)?.isEntry), first, (id) => this.getModuleInfo(id)?.importedIds ?? [])
        // Whoever draws with uPlot brings its 20 kB along: no page without a chart shall load them.
        spread(known.filter((id) => /[\\/]uplot[\\/]/.test(id)), charts, (id) => this.getModuleInfo(id)?.importers ?? [])
      },
    },
    groups: [
      { name: 'app', priority: 2, test: (id) => first.has(id) },
      { name: 'shared', priority: 1, minShareCount: SHARED_BY, includeDependenciesRecursively: false, test: (id) => /[\\/]ui[\\/]src[\\/]/.test(id) && !charts.has(id) },
    ],
  }
}
