import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vite'
import { chunks } from './bundle/chunks.js'
import { compress } from './bundle/compress.js'

const { plugin: chunking, groups } = chunks()

// One build serves any route prefix: code finds its chunks relative to itself, and the web process writes the prefix into the few
// addresses of index.html (`"/assets/` and `"/favicon.svg`). A <base> element would be refused by the content security policy.
export default defineConfig({
  base: '/',
  experimental: { renderBuiltUrl: (_name, { hostType }) => (hostType === 'html' ? undefined : { relative: true }) },
  plugins: [svelte(), chunking, compress()],
  build: {
    outDir: 'dist',
    target: ['chrome123', 'edge123', 'firefox121', 'safari17.5'],
    cssCodeSplit: false, // one sheet of a few kB is cheaper than a request per page
    assetsInlineLimit: 0, // data: addresses are refused by the content security policy
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: { output: { codeSplitting: { groups } } },
  },
  test: { include: ['test/**/*.test.ts'], environment: 'node', css: true },
})
