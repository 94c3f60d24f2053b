/** Standard error: lines, and on a terminal one more below them that is drawn again and again. */

/** What can be written to, as `process.stderr` is. */
export interface Stream {
  readonly isTTY?: boolean
  readonly columns?: number
  readonly write: (text: string) => unknown
}

export interface Screen {
  /** Whether there is somebody who sees a line being redrawn. */
  readonly canRedraw: boolean
  /** Writes a line; the redrawn one stays below it. */
  readonly line: (text: string) => void
  /** Draws the last line anew; an empty text takes it away. Does nothing where nothing can be redrawn. */
  readonly status: (text: string) => void
  /** Takes the redrawn line away for good: what follows is the answer, perhaps on the same terminal. */
  readonly end: () => void
}

const ERASE = "\r\u001b[K"

/** A screen over a stream. Terminals that call themselves dumb cannot erase. */
export const make = (stream: Stream, environment: { readonly TERM?: string | undefined }): Screen => {
  const canRedraw = stream.isTTY === true && environment.TERM !== "dumb"
  let current = ""
  let ended = false
  const status = (text: string): void => {
    if (!canRedraw || ended) return
    // a line that wraps cannot be erased; a terminal that does not know its width says 0
    const next = text.slice(0, (stream.columns || 80) - 1)
    if (next === current) return
    current = next
    stream.write(`${ERASE}${next}`)
  }
  return {
    canRedraw,
    line: (text) => void stream.write(current === "" ? `${text}\n` : `${ERASE}${text}\n${current}`),
    status,
    end: () => {
      status("")
      ended = true
    }
  }
}
