// "Explain this spike": what was dragged over, in any chart; the frame shows the answer.

import type { Span } from './timerange'

/** `queries`: named, where the chart draws several. */
export interface Asked { query: string; queries?: { name: string; query: string }[]; span: Span; title: string }

class Explaining {
  asked = $state.raw<Asked | null>(null)
  about(asked: Asked) {
    this.asked = asked
  }
  close() {
    this.asked = null
  }
}

export const explaining = new Explaining()
