// The PromQL editor (CodeMirror 6): colours, completion, errors underlined where they are. A chunk of its own, loaded after the page.
// It lives in a shadow root: its styles are constructed sheets there, and the page's policy stays `style-src 'self'`.

import { acceptCompletion, autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap, completionStatus, moveCompletionSelection, startCompletion, type CompletionContext, type CompletionResult } from '@codemirror/autocomplete'
import { defaultKeymap, history, historyKeymap, insertNewline } from '@codemirror/commands'
import { linter, type Diagnostic } from '@codemirror/lint'
import { EditorState } from '@codemirror/state'
import { Decoration, EditorView, keymap, MatchDecorator, placeholder, ViewPlugin, type DecorationSet, type ViewUpdate } from '@codemirror/view'
import { FUNCTIONS, insert, rank, wanted, type Wanted } from './complete'

export interface EditorOptions {
  text: string
  label: string
  example: string
  onrun: (text: string) => void
  onchange: (text: string) => void
  names: (want: Wanted) => Promise<string[]>
  /** What is wrong with the text; null = nothing. */
  check: (text: string) => Promise<Fault | null>
}
export interface Fault { at: number; message: string }
export interface Editor { set: (text: string) => void; focus: () => void; destroy: () => void }

export function mountEditor(host: HTMLElement, options: EditorOptions): Editor {
  const root = host.shadowRoot ?? host.attachShadow({ mode: 'open' })
  const run = (view: EditorView) => (options.onrun(view.state.doc.toString()), true)
  const tab = taking()
  const view = new EditorView({
    parent: root,
    root,
    state: EditorState.create({
      doc: options.text,
      extensions: [
        history(),
        closeBrackets(),
        colours,
        LOOK,
        EditorView.lineWrapping,
        placeholder(options.example),
        EditorView.contentAttributes.of({ 'aria-label': options.label, spellcheck: 'false', autocapitalize: 'off' }),
        EditorView.updateListener.of((update) => update.docChanged && options.onchange(update.state.doc.toString())),
        autocompletion({ override: [(context) => complete(context, options.names)], selectOnOpen: false, interactionDelay: 0, activateOnTypingDelay: 10, icons: false, maxRenderedOptions: 50 }),
        tab.watch,
        linter((shown) => faults(shown, options.check), { delay: 400 }),
        keymap.of([
          { key: 'Tab', run: tab.press },
          { key: 'Ctrl-Enter', mac: 'Cmd-Enter', run },
          { key: 'Shift-Enter', run: insertNewline },
          ...completionKeymap,
          { key: 'Enter', run },
          ...closeBracketsKeymap,
          ...historyKeymap,
          ...defaultKeymap,
        ]),
      ],
    }),
  })
  return {
    set(text) {
      if (text !== view.state.doc.toString()) view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } })
    },
    focus: () => view.focus(),
    destroy: () => view.destroy(),
  }
}

/** Tab takes the best completion even when none was chosen. With every letter the names are asked for again, and for a moment those on
 *  the screen are those of the letter before: a Tab that comes then waits for the right ones. Without completions, or pressed once more,
 *  it leaves the box, as Tab must. */
function taking() {
  let waiting = false
  const press = (view: EditorView): boolean => {
    const status = completionStatus(view.state)
    if (status === null || waiting) return (waiting = false)
    if (status === 'active') return takeFirst(view)
    return (waiting = true)
  }
  const watch = EditorView.updateListener.of(({ view, docChanged }) => {
    if (!waiting) return
    const status = completionStatus(view.state)
    if (docChanged || status === null) waiting = false
    if (!waiting || status !== 'active') return
    waiting = false
    queueMicrotask(() => takeFirst(view)) // not while the editor is being updated
  })
  return { press, watch }
}

function takeFirst(view: EditorView): boolean {
  if (!acceptCompletion(view)) {
    moveCompletionSelection(true)(view)
    acceptCompletion(view)
  }
  return true
}

async function complete(context: CompletionContext, names: EditorOptions['names']): Promise<CompletionResult | null> {
  const text = context.state.doc.toString()
  const want = wanted(text, context.pos)
  if (!want) return null
  const found = rank(await names(want), want.prefix).filter((name) => name !== want.prefix)
  if (!found.length) return null
  return {
    from: want.start,
    filter: false, // ranked by us; asked again with every letter
    options: found.map((name) => ({
      label: name,
      detail: want.kind === 'name' && FUNCTIONS.includes(name) ? 'function' : '',
      apply: (view: EditorView) => {
        const caret = view.state.selection.main.head
        const made = insert(view.state.doc.toString(), caret, want, name)
        // Only what changes: brackets that were closed by themselves are still known as such, and typed over.
        view.dispatch({ changes: { from: want.start, to: caret, insert: made.text.slice(want.start, made.caret) }, selection: { anchor: made.caret } })
        if (made.text[made.caret - 1] === '"') startCompletion(view)
      },
    })),
  }
}

async function faults(view: EditorView, check: EditorOptions['check']): Promise<Diagnostic[]> {
  const text = view.state.doc.toString()
  const fault = text.trim() ? await check(text) : null
  if (!fault) return []
  const from = Math.max(0, Math.min(fault.at, text.length - 1))
  const word = /^[\w:.]+/.exec(text.slice(from))?.[0].length ?? 1
  return [{ from, to: Math.min(text.length, from + word), severity: 'error', message: fault.message }]
}

// Comments, strings, durations and numbers, words of the language, names followed by a brace of arguments, label names before an operator.
const PARTS = /(#.*$)|("(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?)|(\b\d+(?:ms|[smhdwy])(?:\d+(?:ms|[smhdwy]))*\b|\b\d[\d.eExX_]*\b)|\b(by|without|on|ignoring|group_left|group_right|offset|bool|and|or|unless|atan2)\b|([a-zA-Z_]\w*)(?=\s*\()|([a-zA-Z_]\w*)(?=\s*(?:=~|!~|!=|=))/gm
const CLASSES = ['', 'comment', 'string', 'number', 'word', 'call', 'label']
const MARKS = CLASSES.map((name) => Decoration.mark({ class: `q-${name}` }))
const matcher = new MatchDecorator({ regexp: PARTS, decoration: (match) => MARKS[match.findIndex((group, index) => index > 0 && group !== undefined)] ?? null })
const colours = ViewPlugin.fromClass(
  class {
    decorations: DecorationSet
    constructor(view: EditorView) {
      this.decorations = matcher.createDeco(view)
    }
    update(update: ViewUpdate) {
      this.decorations = matcher.updateDeco(update, this.decorations)
    }
  },
  { decorations: (plugin) => plugin.decorations },
)

const LOOK = EditorView.theme({
  '&': { font: '1rem/1.5 var(--mono)', fontSize: 'var(--text-m)', color: 'var(--ink)', background: 'var(--surface)', border: '1px solid var(--line-strong)', borderRadius: 'var(--radius-s)' },
  '&.cm-focused': { outline: '2px solid var(--accent)', outlineOffset: '1px' },
  '.cm-scroller': { fontFamily: 'inherit', maxHeight: '220px', overflow: 'auto' },
  '.cm-content': { padding: '7px 0', minHeight: '22px', caretColor: 'var(--ink)' },
  '.cm-line': { padding: '0 12px' },
  '.cm-placeholder': { color: 'var(--ink-3)' },
  '.cm-tooltip': { background: 'var(--raised)', color: 'var(--ink)', border: '1px solid var(--line)', borderRadius: 'var(--radius)', boxShadow: 'var(--shadow)' },
  '.cm-tooltip-autocomplete > ul': { fontFamily: 'var(--mono)', maxHeight: '300px', padding: '4px' },
  '.cm-tooltip-autocomplete > ul > li': { padding: '4px 8px', borderRadius: 'var(--radius-s)' },
  '.cm-tooltip-autocomplete > ul > li[aria-selected]': { background: 'var(--accent-soft)', color: 'var(--accent)' },
  '.cm-completionDetail': { color: 'var(--ink-3)', fontStyle: 'normal', fontSize: 'var(--text-xs)' },
  '.cm-diagnostic-error': { borderLeft: '3px solid var(--crit)', padding: '6px 10px' },
  '.cm-lintRange-error': { backgroundImage: 'none', textDecoration: 'underline wavy var(--crit)', textDecorationSkipInk: 'none', textUnderlineOffset: '3px' },
  '.q-comment': { color: 'var(--ink-3)', fontStyle: 'italic' },
  '.q-string': { color: 'var(--up-text)' },
  '.q-number': { color: 'var(--warn-text)' },
  '.q-word': { color: 'var(--maint-text)', fontWeight: '600' },
  '.q-call': { color: 'var(--accent)' },
  '.q-label': { color: 'var(--ink-2)' },
})
