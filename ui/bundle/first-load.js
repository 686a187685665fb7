// Everything the first page needs, in one file. The bundler would cut what pages share out of the entry: four requests more before the
// first paint, for modules that are needed at once anyway.

export function firstLoad() {
  const needed = new Set()
  return {
    plugin: {
      name: 'tocsin-first-load',
      apply: 'build',
      buildEnd() {
        const waiting = [...this.getModuleIds()].filter((id) => this.getModuleInfo(id)?.isEntry)
        for (const id of waiting) {
          if (needed.has(id)) continue
          needed.add(id)
          waiting.push(...(this.getModuleInfo(id)?.importedIds ?? []))
        }
      },
    },
    group: { name: 'app', test: (id) => needed.has(id) },
  }
}
