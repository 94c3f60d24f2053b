/** The server's part of the handshake: a client looks around and chooses an export. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Connection } from "./connection.ts"
import type { Export, Exports, ExportUnavailable } from "./Export.ts"
import { ConnectionEnded } from "./Inbox.ts"
import * as Protocol from "./protocol.ts"

/** What a client and the server have agreed upon. */
export interface Agreement {
  readonly disk: Export
  /** Replies come in chunks, which can name holes and explain errors. */
  readonly structured: boolean
  /** `base:allocation` may be asked for. */
  readonly allocation: boolean
}

/** Longer options are refused. A client's longest is a name and a few queries. */
const MAX_OPTION = 64 * 1024
/** The number by which replies mean `base:allocation`. */
export const ALLOCATION_ID = 1

const { ANSWER, EXPORT_FLAG: FLAG, INFO, OPTION } = Protocol

const number16 = (...values: ReadonlyArray<number>): Buffer => {
  const bytes = Buffer.alloc(2 * values.length)
  values.forEach((value, index) => bytes.writeUInt16BE(value, 2 * index))
  return bytes
}
const number32 = (...values: ReadonlyArray<number>): Buffer => {
  const bytes = Buffer.alloc(4 * values.length)
  values.forEach((value, index) => bytes.writeUInt32BE(value, 4 * index))
  return bytes
}

/** Size and flags, as each way to choose an export tells them. */
const describe = ({ disk, structured }: Agreement): Buffer => {
  const writing = disk.writer === undefined
    // clients that share what nobody can change see the same
    ? FLAG.readOnly | FLAG.canMultiConn
    : FLAG.sendFlush | FLAG.sendFua | FLAG.sendTrim | FLAG.sendWriteZeroes
  const bytes = Buffer.alloc(10)
  bytes.writeBigUInt64BE(BigInt(disk.size))
  bytes.writeUInt16BE(FLAG.hasFlags | writing | (structured ? FLAG.sendDf : 0), 8)
  return bytes
}

/** Reads the data of an option; past its end everything is `undefined`. */
const reader = (data: Buffer) => {
  let at = 0
  const take = (length: number): Buffer | undefined => {
    if (length > data.length - at) {
      at = Number.POSITIVE_INFINITY
      return undefined
    }
    return data.subarray(at, at += length)
  }
  const count = (bytes: 2 | 4): number | undefined => take(bytes)?.readUIntBE(0, bytes)
  const text = (): string | undefined => {
    const length = count(4)
    return length === undefined || length > Protocol.MAX_TEXT ? undefined : take(length)?.toString("utf8")
  }
  return { count, text, isDone: () => at === data.length }
}

/** A name, and what is asked about it. */
const readGo = (data: Buffer): { readonly name: string; readonly infos: ReadonlyArray<number> } | undefined => {
  const from = reader(data)
  const name = from.text()
  const count = from.count(2) ?? 0
  const infos: Array<number> = []
  for (let n = 0; n < count; n++) {
    const info = from.count(2)
    if (info === undefined) return undefined
    infos.push(info)
  }
  return name !== undefined && from.isDone() ? { name, infos } : undefined
}

/** A name, and which contexts are wanted. */
const readQueries = (data: Buffer): { readonly name: string; readonly queries: ReadonlyArray<string> } | undefined => {
  const from = reader(data)
  const name = from.text()
  const count = from.count(4) ?? 0
  const queries: Array<string> = []
  for (let n = 0; n < count; n++) {
    const query = from.text()
    if (query === undefined) return undefined
    queries.push(query)
  }
  return name !== undefined && from.isDone() ? { name, queries } : undefined
}

/**
 * Speaks with a client until it has chosen an export, which stays open until the scope ends; `undefined` when it leaves
 * in peace. Whatever it says costs no more memory than its longest option.
 */
export const negotiate = (
  { send, skip, take }: Connection,
  exports: Exports
): Effect.Effect<Agreement | undefined, ConnectionEnded, Scope.Scope> =>
  Effect.gen(function*() {
    yield* send(Protocol.GREETING)
    const flags = (yield* take(4)).readUInt32BE(0)
    const { fixedNewstyle, noZeroes } = Protocol.HANDSHAKE
    if ((flags & ~(fixedNewstyle | noZeroes)) !== 0) {
      return yield* new ConnectionEnded({ reason: "the client wants what does not exist" })
    }
    let structured = false
    /** The export for which contexts were chosen. */
    let chosen: string | undefined

    const refuse = (option: number, answer: number, reason: string) =>
      send(Protocol.writeAnswer(option, answer, Buffer.from(reason).subarray(0, Protocol.MAX_TEXT)))
    const acknowledge = (option: number) => send(Protocol.writeAnswer(option, ANSWER.ack))
    const refuseExport = (option: number, { reason, state }: ExportUnavailable) =>
      refuse(option, state === "unknown" ? ANSWER.unknown : ANSWER.policy, reason)

    const answerList = (option: number) =>
      Effect.matchEffect(exports.list, {
        onFailure: (error) => refuseExport(option, error),
        onSuccess: (all) =>
          Effect.zipRight(
            Effect.forEach(all, ({ description, name }) => {
              const bytes = Buffer.from(name)
              const data = Buffer.concat([number32(bytes.length), bytes, Buffer.from(description)])
              return send(Protocol.writeAnswer(option, ANSWER.server, data))
            }, { discard: true }),
            acknowledge(option)
          )
      })

    const agreement = (name: string, disk: Export): Agreement => ({
      disk,
      structured,
      allocation: structured && chosen === name
    })

    /** INFO and GO: tells of an export and gives it. */
    const answerGo = Effect.fnUntraced(function*(option: number, data: Buffer) {
      const asked = readGo(data)
      if (asked === undefined) return yield* refuse(option, ANSWER.invalid, "the option is malformed")
      const opened = yield* Effect.either(exports.open(asked.name))
      if (opened._tag === "Left") return yield* refuseExport(option, opened.left)
      const agreed = agreement(asked.name, opened.right)
      const info = (kind: number, content: Uint8Array) =>
        Protocol.writeAnswer(option, ANSWER.info, Buffer.concat([number16(kind), content]))
      const { description, name } = agreed.disk
      yield* send(
        info(INFO.export, describe(agreed)),
        ...asked.infos.includes(INFO.name) ? [info(INFO.name, Buffer.from(name))] : [],
        ...asked.infos.includes(INFO.description) ? [info(INFO.description, Buffer.from(description))] : [],
        info(INFO.blockSize, number32(1, PREFERRED_BLOCK, Protocol.MAX_PAYLOAD)),
        Protocol.writeAnswer(option, ANSWER.ack)
      )
      return agreed
    })

    const answerContexts = Effect.fnUntraced(function*(option: number, data: Buffer) {
      const asked = readQueries(data)
      if (asked === undefined) return yield* refuse(option, ANSWER.invalid, "the option is malformed")
      if (!structured && option === OPTION.setMetaContext) {
        return yield* refuse(option, ANSWER.invalid, "contexts need structured replies")
      }
      const { name, queries } = asked
      const opened = yield* Effect.either(Effect.scoped(exports.open(name)))
      if (opened._tag === "Left") return yield* refuseExport(option, opened.left)
      const isList = option === OPTION.listMetaContext
      const wanted = queries.includes(Protocol.BASE_ALLOCATION) ||
        (isList && (queries.length === 0 || queries.includes("base:")))
      if (!isList) chosen = wanted ? name : undefined
      if (wanted) {
        const context = Buffer.concat([number32(isList ? 0 : ALLOCATION_ID), Buffer.from(Protocol.BASE_ALLOCATION)])
        yield* send(Protocol.writeAnswer(option, ANSWER.metaContext, context))
      }
      return yield* acknowledge(option)
    })

    while (true) {
      const head = Protocol.readOption(yield* take(Protocol.OPTION_HEAD))
      if (head === undefined) return yield* new ConnectionEnded({ reason: "the client does not speak NBD" })
      const { length, option } = head
      if (length > MAX_OPTION) {
        if (option === OPTION.exportName) return yield* new ConnectionEnded({ reason: "the client asks too much" })
        yield* skip(length)
        yield* refuse(option, ANSWER.tooBig, "the option is too long")
        continue
      }
      const data = yield* take(length)
      switch (option) {
        case OPTION.exportName: {
          const name = data.toString("utf8")
          // this option knows no other refusal
          const disk = yield* Effect.mapError(exports.open(name), ({ reason }) => new ConnectionEnded({ reason }))
          const agreed = agreement(name, disk)
          yield* send(describe(agreed), Buffer.alloc((flags & noZeroes) !== 0 ? 0 : 124))
          return agreed
        }
        case OPTION.abort:
          yield* acknowledge(option)
          return undefined
        case OPTION.list:
          yield* length > 0 ? refuse(option, ANSWER.invalid, "the option is malformed") : answerList(option)
          break
        case OPTION.info:
          yield* Effect.scoped(answerGo(option, data))
          break
        case OPTION.go: {
          const agreed = yield* answerGo(option, data)
          if (agreed !== undefined) return agreed
          break
        }
        case OPTION.structuredReply:
          if (length > 0) yield* refuse(option, ANSWER.invalid, "the option is malformed")
          else {
            structured = true
            yield* acknowledge(option)
          }
          break
        case OPTION.listMetaContext:
        case OPTION.setMetaContext:
          yield* answerContexts(option, data)
          break
        default:
          yield* refuse(option, ANSWER.unsupported, "there is no such option")
      }
    }
  })

/** What a client does well to align its requests to. */
const PREFERRED_BLOCK = 64 * 1024
