/**
 * Bytes of a telnet client (or of `nc`) to lines, however they are cut into packets. The protocol's commands are
 * answered with a refusal (RFC 854: a line-wise terminal needs no options) and taken out. Pure.
 */

/** What came in. */
export type Event =
  | { readonly _tag: "Line"; readonly text: string }
  /** To be sent back as it is. */
  | { readonly _tag: "Reply"; readonly bytes: ReadonlyArray<number> }
  /** The user wants to leave: Ctrl-C or Ctrl-D. */
  | { readonly _tag: "End" }
  /** A line is longer than any command. */
  | { readonly _tag: "TooLong" }

const IAC = 255
const [WILL, WONT, DO, DONT, SB, SE] = [251, 252, 253, 254, 250, 240]
const [INTERRUPT, ABORT, END_OF_FILE, ARE_YOU_THERE] = [244, 238, 236, 246]

/** Bytes of one line. */
const MAX_LINE = 1024

/** Options that a client may offer or ask for before we stop answering: more is an attempt to keep us busy. */
const MAX_REPLIES = 64

type Mode = "text" | "iac" | "option" | "sub" | "sub-iac"

/** Takes bytes as they come; keeps at most a line. */
export interface TelnetInput {
  readonly feed: (bytes: Uint8Array) => ReadonlyArray<Event>
}

/** A new connection. */
export const make = (): TelnetInput => {
  let mode: Mode = "text"
  let verb = 0
  let replies = 0
  let afterReturn = false
  let line: Array<number> = []

  const finish = (events: Array<Event>): void => {
    events.push({ _tag: "Line", text: new TextDecoder().decode(Uint8Array.from(line)) })
    line = []
  }

  const text = (byte: number, events: Array<Event>): void => {
    const wasReturn = afterReturn
    afterReturn = byte === 13
    if (byte === 13) return finish(events)
    // the second half of CR LF and CR NUL
    if (wasReturn && (byte === 10 || byte === 0)) return
    if (byte === 10) return finish(events)
    if (byte === 3 || (byte === 4 && line.length === 0)) return void events.push({ _tag: "End" })
    if (byte === 8 || byte === 127) return void line.pop()
    // other control characters mean nothing in a command
    if (byte < 32 && byte !== 9) return
    if (line.length >= MAX_LINE) {
      line = []
      return void events.push({ _tag: "TooLong" })
    }
    line.push(byte)
  }

  const command = (byte: number, events: Array<Event>): void => {
    switch (byte) {
      case WILL:
      case WONT:
      case DO:
      case DONT:
        verb = byte
        mode = "option"
        return
      case SB:
        mode = "sub"
        return
      case INTERRUPT:
      case ABORT:
      case END_OF_FILE:
        mode = "text"
        return void events.push({ _tag: "End" })
      case ARE_YOU_THERE:
        mode = "text"
        return void events.push({ _tag: "Reply", bytes: [...new TextEncoder().encode("\r\n[yes]\r\n")] })
      case IAC:
        mode = "text"
        return text(byte, events)
      default:
        mode = "text"
    }
  }

  /** We do nothing and want nothing done; WONT and DONT need no answer. */
  const option = (byte: number, events: Array<Event>): void => {
    mode = "text"
    const answer = verb === WILL ? DONT : verb === DO ? WONT : undefined
    if (answer === undefined || ++replies > MAX_REPLIES) return
    events.push({ _tag: "Reply", bytes: [IAC, answer, byte] })
  }

  return {
    feed: (bytes) => {
      const events: Array<Event> = []
      for (const byte of bytes) {
        switch (mode) {
          case "text":
            if (byte === IAC) mode = "iac"
            else text(byte, events)
            break
          case "iac":
            command(byte, events)
            break
          case "option":
            option(byte, events)
            break
          case "sub":
            if (byte === IAC) mode = "sub-iac"
            break
          case "sub-iac":
            mode = byte === SE ? "text" : "sub"
        }
      }
      return events
    }
  }
}
