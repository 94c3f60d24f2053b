/** A client of the network block device protocol that does exactly what a test wants, right or wrong. */
import * as Effect from "effect/Effect"
import type { Duplex } from "node:stream"
import * as Connection from "../../src/nbd/connection.ts"
import * as Protocol from "../../src/nbd/protocol.ts"

export interface OptionAnswer {
  readonly answer: number
  readonly data: Buffer
}

export interface Reply {
  readonly error: number
  /** What went wrong, in words, if the server says so. */
  readonly text: string
  /** The content of a read, holes as zeros. */
  readonly bytes: Buffer
  /** Chunks of a structured reply: their kind and the length of the part that they are about. */
  readonly chunks: ReadonlyArray<readonly [kind: number, length: number]>
  /** Pairs of length and flags. */
  readonly extents: ReadonlyArray<readonly [length: number, flags: number]>
}

export const u16 = (value: number): Buffer => {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}
export const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
export const text = (value: string): Buffer => Buffer.concat([u32(Buffer.byteLength(value)), Buffer.from(value)])

/** The data of GO and INFO. */
export const choice = (name: string, ...infos: ReadonlyArray<number>): Buffer =>
  Buffer.concat([text(name), u16(infos.length), ...infos.map(u16)])

/** The data of LIST_META_CONTEXT and SET_META_CONTEXT. */
export const queries = (name: string, ...all: ReadonlyArray<string>): Buffer =>
  Buffer.concat([text(name), u32(all.length), ...all.map(text)])

export const make = (stream: Duplex) => {
  const { send, take } = Connection.make(stream, "server")
  let cookie = 0n

  const greet = (flags = 3) => Effect.zipRight(take(Protocol.GREETING.length), send(u32(flags)))

  /** The server's answers to an option, up to the last. */
  const option = (number: number, data: Uint8Array = Buffer.alloc(0)) =>
    Effect.gen(function*() {
      yield* send(Protocol.writeOption(number, data))
      const answers: Array<OptionAnswer> = []
      while (true) {
        const head = yield* Effect.fromNullable(Protocol.readAnswer(yield* take(Protocol.ANSWER_HEAD)))
        answers.push({ answer: head.answer, data: yield* take(head.length) })
        if (head.answer === Protocol.ANSWER.ack || Protocol.isError(head.answer)) return answers
      }
    })

  const structured = (ask: Protocol.Request, first: Buffer) =>
    Effect.gen(function*() {
      const bytes = Buffer.alloc(ask.command === Protocol.COMMAND.read ? Math.min(ask.length, 1 << 26) : 0)
      const chunks: Array<readonly [number, number]> = []
      const extents: Array<readonly [number, number]> = []
      let error = 0
      let words = ""
      for (let head: Buffer = first;; head = yield* take(Protocol.STRUCTURED_HEAD)) {
        const { cookie, flags, kind, length } = yield* Effect.fromNullable(Protocol.readStructured(head))
        if (cookie !== ask.cookie) return yield* Effect.dieMessage("the answer to something else")
        const data = yield* take(length)
        switch (kind) {
          case Protocol.CHUNK.offsetData:
            data.copy(bytes, Number(data.readBigUInt64BE()) - ask.offset, 8)
            chunks.push([kind, length - 8])
            break
          case Protocol.CHUNK.offsetHole:
            chunks.push([kind, data.readUInt32BE(8)])
            break
          case Protocol.CHUNK.blockStatus:
            for (let at = 4; at < length; at += 8) extents.push([data.readUInt32BE(at), data.readUInt32BE(at + 4)])
            break
          default:
            error = data.readUInt32BE(0)
            words = data.toString("utf8", 6, 6 + data.readUInt16BE(4))
        }
        if ((flags & Protocol.DONE) !== 0) return { error, text: words, bytes, chunks, extents } satisfies Reply
      }
    })

  /** Sends a request and waits for its reply. */
  const request = (
    command: number,
    offset: number,
    length: number,
    { flags = 0, payload = Buffer.alloc(0) }: { readonly flags?: number; readonly payload?: Uint8Array } = {}
  ) =>
    Effect.gen(function*() {
      const ask = { command, cookie: ++cookie, flags, offset, length }
      yield* send(Protocol.writeRequest(ask), payload)
      const head = yield* take(Protocol.SIMPLE_HEAD)
      const simple = Protocol.readSimple(head)
      if (simple === undefined) {
        const rest = yield* take(Protocol.STRUCTURED_HEAD - Protocol.SIMPLE_HEAD)
        return yield* structured(ask, Buffer.concat([head, rest]))
      }
      if (simple.cookie !== ask.cookie) return yield* Effect.dieMessage("the answer to something else")
      const content = simple.error === 0 && command === Protocol.COMMAND.read ? length : 0
      return { error: simple.error, text: "", bytes: yield* take(content), chunks: [], extents: [] } satisfies Reply
    })

  /** The whole handshake. */
  const go = (name = "", { structured = true }: { readonly structured?: boolean } = {}) =>
    Effect.gen(function*() {
      yield* greet()
      if (structured) {
        yield* option(Protocol.OPTION.structuredReply)
        yield* option(Protocol.OPTION.setMetaContext, queries(name, Protocol.BASE_ALLOCATION))
      }
      const answers = yield* option(Protocol.OPTION.go, choice(name, 1, 2, 3))
      const infos = answers.filter(({ answer }) => answer === Protocol.ANSWER.info)
      const info = (kind: number) => infos.find(({ data }) => data.readUInt16BE(0) === kind)?.data.subarray(2)
      const main = info(Protocol.INFO.export)
      return {
        answers,
        size: Number(main?.readBigUInt64BE(0) ?? -1),
        flags: main?.readUInt16BE(8) ?? 0,
        name: info(Protocol.INFO.name)?.toString(),
        description: info(Protocol.INFO.description)?.toString()
      }
    })

  const read = (offset: number, length: number, flags = 0) => request(Protocol.COMMAND.read, offset, length, { flags })
  const status = (offset: number, length: number, flags = 0) =>
    request(Protocol.COMMAND.blockStatus, offset, length, { flags })

  return { stream, send, take, greet, option, go, request, read, status }
}
