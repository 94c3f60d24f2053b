/** The server against clients that do what they may, and what they may not, over connections in memory. */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import type { Duplex } from "node:stream"
import { setImmediate } from "node:timers/promises"
import * as Client from "../../src/nbd/Client.ts"
import { type Export, ExportUnavailable, Fault } from "../../src/nbd/Export.ts"
import * as Protocol from "../../src/nbd/protocol.ts"
import * as Server from "../../src/nbd/server.ts"
import { BUDGET } from "../../src/nbd/transmit.ts"
import * as MemoryListener from "../support/memoryListener.ts"
import { choice, make, queries, text, u16, u32 } from "../support/nbdClient.ts"

const { ANSWER, CHUNK, COMMAND, COMMAND_FLAG: FLAG, ERROR, OPTION } = Protocol
const UNIT = 1024
const SIZE = 64 * UNIT + 100
/** This unit cannot be read. */
const BAD = 50

/** Units that are holes. */
const isHole = (unit: number): boolean => unit % 4 === 3
const byteAt = (at: number): number => isHole(Math.floor(at / UNIT)) ? 0 : 1 + at * 7 % 251
const content = Buffer.from(Array.from({ length: SIZE }, (_, at) => byteAt(at)))

/** A disk in memory. */
const disk: Export = {
  name: "canonical",
  description: "a disk",
  size: SIZE,
  unit: UNIT,
  writer: undefined,
  read: (offset, length) => {
    const pieces = []
    for (let at = offset; at < offset + length;) {
      const unit = Math.floor(at / UNIT)
      if (unit === BAD) return new Fault({ code: "EIO", reason: "that part is damaged", offset: unit * UNIT })
      const stop = Math.min(offset + length, (unit + 1) * UNIT)
      pieces.push({ length: stop - at, bytes: isHole(unit) ? undefined : content.subarray(at, stop) })
      at = stop
    }
    return Effect.succeed(pieces)
  },
  allocations: (offset, length, most) => {
    const found = []
    for (let at = offset; at < offset + length && found.length < most;) {
      const unit = Math.floor(at / UNIT)
      const stop = Math.min(offset + length, (unit + 1) * UNIT)
      found.push({ length: stop - at, data: !isHole(unit) })
      at = stop
    }
    return found
  }
}

/** A large disk of zeros. */
const large: Export = {
  ...disk,
  name: "large",
  size: 2 ** 45,
  read: (_, length) => Effect.succeed([{ length, bytes: undefined }]),
  allocations: (_, length) => [{ length, data: false }]
}

/** A server of one disk, or several, and a way to connect to it. */
const serving = (disks: Record<string, Export> = { "": disk, large }) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const listener = yield* MemoryListener.make
    yield* Effect.addFinalizer((exit) => Scope.close(scope, exit))
    yield* Scope.extend(
      Server.serve(listener.accept, {
        list: Effect.succeed(Object.entries(disks).map(([name, { description }]) => ({ name, description }))),
        open: (name) =>
          disks[name] === undefined
            ? new ExportUnavailable({ state: "unknown", reason: `there is no ${name}` })
            : Effect.succeed(disks[name])
      }),
      scope
    )
    return { stream: listener.connect, connect: Effect.map(listener.connect, make), end: Scope.close(scope, Exit.void) }
  })

const connected = (options?: { readonly structured?: boolean; readonly name?: string }) =>
  Effect.gen(function*() {
    const client = yield* (yield* serving()).connect
    yield* client.go(options?.name ?? "", options)
    return client
  })

const codesOf = (answers: ReadonlyArray<{ readonly answer: number }>) => answers.map(({ answer }) => answer)

describe("the handshake", () => {
  it.scoped("tells size, flags, name, description and block sizes of an export", () =>
    Effect.gen(function*() {
      const client = yield* (yield* serving()).connect
      const { answers, ...told } = yield* client.go()
      const { canMultiConn, hasFlags, readOnly, sendDf } = Protocol.EXPORT_FLAG
      const flags = canMultiConn | hasFlags | readOnly | sendDf
      assert.deepStrictEqual(told, { size: SIZE, flags, name: "canonical", description: "a disk" })
      const sizes = answers.find(({ data }) => data.length === 14)?.data
      assert.deepStrictEqual([2, 6, 10].map((at) => sizes?.readUInt32BE(at)), [1, 65_536, 33_554_432])
    }))

  it.scoped("lists the exports", () =>
    Effect.gen(function*() {
      const client = yield* (yield* serving()).connect
      yield* client.greet()
      const answers = yield* client.option(OPTION.list)
      assert.deepStrictEqual(
        answers.map(({ data }) => data.toString("latin1")),
        ["\0\0\0\0a disk", "\0\0\0\x05largea disk", ""]
      )
    }))

  for (const zeroes of [true, false]) {
    it.scoped(`serves who knows EXPORT_NAME alone, ${zeroes ? "with" : "without"} zeroes behind the answer`, () =>
      Effect.gen(function*() {
        const client = yield* (yield* serving()).connect
        yield* client.greet(zeroes ? 1 : 3)
        yield* client.send(Protocol.writeOption(OPTION.exportName, Buffer.from("")))
        const answer = yield* client.take(zeroes ? 134 : 10)
        assert.strictEqual(Number(answer.readBigUInt64BE()), SIZE)
        const { bytes } = yield* client.read(5, 10)
        assert.deepStrictEqual(bytes, content.subarray(5, 15))
      }))
  }

  const refused: ReadonlyArray<readonly [string, number, Buffer, number]> = [
    ["an option that does not exist", 77, Buffer.alloc(3), ANSWER.unsupported],
    ["encryption", OPTION.startTls, Buffer.alloc(0), ANSWER.unsupported],
    ["headers that are extended", 11, Buffer.alloc(0), ANSWER.unsupported],
    ["an export that does not exist", OPTION.go, choice("nothing"), ANSWER.unknown],
    ["to know of an export that does not exist", OPTION.info, choice("nothing"), ANSWER.unknown],
    ["contexts of an export that does not exist", OPTION.listMetaContext, queries("nothing"), ANSWER.unknown],
    ["contexts without structured replies", OPTION.setMetaContext, queries("", "base:allocation"), ANSWER.invalid],
    ["a list with data", OPTION.list, Buffer.alloc(1), ANSWER.invalid],
    ["structured replies with data", OPTION.structuredReply, Buffer.alloc(1), ANSWER.invalid],
    ["nothing at all", OPTION.go, Buffer.alloc(0), ANSWER.invalid],
    ["a name that is longer than the option", OPTION.go, Buffer.concat([u32(100), u16(0)]), ANSWER.invalid],
    ["a name of 4 GiB", OPTION.go, Buffer.concat([u32(2 ** 32 - 1), u16(0)]), ANSWER.invalid],
    ["a name that is too long", OPTION.go, choice("x".repeat(5000)), ANSWER.invalid],
    ["more information than it names", OPTION.go, Buffer.concat([text(""), u16(9), u16(0)]), ANSWER.invalid],
    ["something behind the end", OPTION.info, Buffer.concat([choice(""), Buffer.alloc(1)]), ANSWER.invalid],
    ["queries that are not there", OPTION.listMetaContext, Buffer.concat([text(""), u32(2 ** 32 - 1)]), ANSWER.invalid],
    ["an option that is too long", OPTION.go, Buffer.alloc(70_000), ANSWER.tooBig]
  ]
  for (const [what, option, data, answer] of refused) {
    it.scoped(`refuses ${what}, and goes on`, () =>
      Effect.gen(function*() {
        const client = yield* (yield* serving()).connect
        yield* client.greet()
        assert.deepStrictEqual(codesOf(yield* client.option(option, data)), [answer])
        assert.strictEqual((yield* client.option(OPTION.go, choice(""))).at(-1)?.answer, ANSWER.ack)
        assert.deepStrictEqual((yield* client.read(0, 9)).bytes, content.subarray(0, 9))
      }))
  }

  it.scoped("chooses the contexts that are there, for the export that they were asked for", () =>
    Effect.gen(function*() {
      const client = yield* (yield* serving()).connect
      yield* client.greet()
      yield* client.option(OPTION.structuredReply)
      const count = (option: number, ...wanted: ReadonlyArray<string>) =>
        Effect.map(client.option(option, queries("", ...wanted)), (answers) => answers.length - 1)
      assert.strictEqual(yield* count(OPTION.listMetaContext), 1)
      assert.strictEqual(yield* count(OPTION.listMetaContext, "base:"), 1)
      assert.strictEqual(yield* count(OPTION.listMetaContext, "qemu:"), 0)
      assert.strictEqual(yield* count(OPTION.setMetaContext, "base:"), 0)
      assert.strictEqual(yield* count(OPTION.setMetaContext, "x", "base:allocation"), 1)
      yield* client.option(OPTION.go, choice("large"))
      assert.strictEqual((yield* client.status(0, 100)).error, ERROR.EINVAL)
    }))

  it.scoped("ends in peace with who says so", () =>
    Effect.gen(function*() {
      const client = yield* (yield* serving()).connect
      yield* client.greet()
      assert.deepStrictEqual(codesOf(yield* client.option(OPTION.abort)), [ANSWER.ack])
      assert.strictEqual((yield* Effect.flip(client.take(1))).reason, "the server closed the connection")
    }))

  for (
    const [what, bytes] of [
      ["does not speak NBD", Buffer.from("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")],
      ["wants flags that do not exist", u32(8)],
      [
        "asks for an export that does not exist by EXPORT_NAME",
        Buffer.concat([
          u32(3),
          Protocol.writeOption(OPTION.exportName, Buffer.from("nothing"))
        ])
      ]
    ] as const
  ) {
    it.scoped(`leaves who ${what}`, () =>
      Effect.gen(function*() {
        const client = yield* (yield* serving()).connect
        yield* client.take(18)
        yield* client.send(bytes)
        assert.strictEqual((yield* Effect.flip(client.take(1))).reason, "the server closed the connection")
      }))
  }

  it.scoped("leaves who says nothing for half a minute", () =>
    Effect.gen(function*() {
      const client = yield* (yield* serving()).connect
      yield* client.greet()
      yield* TestClock.adjust("31 seconds")
      assert.strictEqual((yield* Effect.flip(client.take(1))).reason, "the server closed the connection")
    }))
})

describe("the commands", () => {
  it.scoped("read what is there, by our own client too", () =>
    Effect.gen(function*() {
      const { stream } = yield* serving()
      const client = yield* Client.over(yield* stream)
      const whole = BAD * UNIT
      assert.isTrue(content.subarray(0, whole).equals(yield* client.read(0, whole)))
      assert.match((yield* Effect.flip(client.read(whole, 1))).reason, /cannot read \(error 5\)/)
      assert.isTrue(content.subarray(whole + UNIT).equals(yield* client.read(whole + UNIT, SIZE - whole - UNIT)))
    }))

  it.scoped("name holes in structured replies, unless a reply must not be cut", () =>
    Effect.gen(function*() {
      const client = yield* connected()
      const cut = yield* client.read(2 * UNIT - 10, 3 * UNIT)
      assert.deepStrictEqual(cut.bytes, content.subarray(2 * UNIT - 10, 5 * UNIT - 10))
      assert.deepStrictEqual(cut.chunks, [[CHUNK.offsetData, UNIT + 10], [CHUNK.offsetHole, UNIT], [
        CHUNK.offsetData,
        UNIT - 10
      ]])
      const whole = yield* client.read(2 * UNIT - 10, 3 * UNIT, FLAG.df)
      assert.deepStrictEqual(whole.bytes, cut.bytes)
      assert.deepStrictEqual(whole.chunks, [[CHUNK.offsetData, 3 * UNIT]])
    }))

  it.scoped("say of a damaged part where and why", () =>
    Effect.gen(function*() {
      const client = yield* connected()
      const { error, text } = yield* client.read((BAD - 1) * UNIT, 2 * UNIT)
      assert.deepStrictEqual([error, text], [ERROR.EIO, "that part is damaged"])
      assert.deepStrictEqual((yield* client.read((BAD + 1) * UNIT, 9)).error, 0)
    }))

  it.scoped("tell what is allocated", () =>
    Effect.gen(function*() {
      const client = yield* connected()
      const extents = (yield* client.status(2 * UNIT + 1, 3 * UNIT)).extents
      assert.deepStrictEqual(extents, [[UNIT - 1, 0], [UNIT, 3], [UNIT, 0], [1, 0]])
      assert.deepStrictEqual((yield* client.status(3 * UNIT, 9 * UNIT, FLAG.reqOne)).extents, [[UNIT, 3]])
    }))

  const bad: ReadonlyArray<readonly [string, number, number, number, number, number]> = [
    ["an empty read", COMMAND.read, 0, 0, 0, ERROR.EINVAL],
    ["a read behind the end", COMMAND.read, SIZE, 1, 0, ERROR.EINVAL],
    ["a read over the end", COMMAND.read, SIZE - 1, 2, 0, ERROR.EINVAL],
    ["a read at the end of all numbers", COMMAND.read, 2 ** 64 - 2048, 2 ** 32 - 1, 0, ERROR.EINVAL],
    ["a read of 4 GiB", COMMAND.read, 0, 2 ** 32 - 1, 0, ERROR.EINVAL],
    ["a read with a flag that does not exist", COMMAND.read, 0, 1, 1 << 9, ERROR.EINVAL],
    ["a read with FUA, which was not offered", COMMAND.read, 0, 1, FLAG.fua, ERROR.EINVAL],
    ["a status with DF", COMMAND.blockStatus, 0, 1, FLAG.df, ERROR.EINVAL],
    ["a status behind the end", COMMAND.blockStatus, SIZE, 1, 0, ERROR.EINVAL],
    ["a status of nothing", COMMAND.blockStatus, 0, 0, 0, ERROR.EINVAL],
    ["a trim", COMMAND.trim, 0, 1, 0, ERROR.EPERM],
    ["zeros of 4 GiB", COMMAND.writeZeroes, 0, 2 ** 32 - 1, 0, ERROR.EPERM],
    ["a flush, which was not offered", COMMAND.flush, 0, 0, 0, ERROR.EINVAL],
    ["a command that does not exist", 5, 0, 1, 0, ERROR.EINVAL],
    ["the last command of all", 65_535, 0, 1, 0, ERROR.EINVAL]
  ]
  for (const structured of [true, false]) {
    for (const [what, command, offset, length, flags, error] of bad) {
      it.scoped(`refuse ${what} ${structured ? "in structured replies" : "in simple ones"}, and go on`, () =>
        Effect.gen(function*() {
          const client = yield* connected({ structured })
          assert.strictEqual((yield* client.request(command, offset, length, { flags })).error, error)
          assert.deepStrictEqual((yield* client.read(7, 9)).bytes, content.subarray(7, 16))
        }))
    }
  }

  it.scoped("refuse a write and DF without structured replies, and what follows is understood", () =>
    Effect.gen(function*() {
      const client = yield* connected({ structured: false })
      const payload = Buffer.alloc(100_000, 0x25)
      const { error } = yield* client.request(COMMAND.write, 0, payload.length, { payload })
      assert.strictEqual(error, ERROR.EPERM)
      assert.strictEqual((yield* client.read(0, 1, FLAG.df)).error, ERROR.EINVAL)
      assert.deepStrictEqual((yield* client.read(7, 9)).bytes, content.subarray(7, 16))
    }))

  it.scoped("read 32 MiB at once, and tell of 4 GiB", () =>
    Effect.gen(function*() {
      const client = yield* connected({ name: "large" })
      const { bytes, chunks } = yield* client.read(2 ** 44, 2 ** 25)
      assert.deepStrictEqual(chunks, [[CHUNK.offsetHole, 2 ** 25]])
      assert.strictEqual(bytes.length, 2 ** 25)
      assert.strictEqual((yield* client.read(2 ** 44, 2 ** 25 + 1)).error, ERROR.EINVAL)
      assert.deepStrictEqual((yield* client.status(2 ** 44, 2 ** 32 - 1)).extents, [[2 ** 32 - 1, 3]])
      const plain = yield* connected({ name: "large", structured: false })
      assert.strictEqual((yield* plain.read(2 ** 44, 2 ** 25)).bytes.length, 2 ** 25)
    }))
})

/** A whole conversation, as bytes. */
const conversation = Buffer.concat([
  u32(3),
  Protocol.writeOption(OPTION.structuredReply, Buffer.alloc(0)),
  Protocol.writeOption(OPTION.list, Buffer.alloc(0)),
  Protocol.writeOption(OPTION.setMetaContext, queries("", "base:allocation")),
  Protocol.writeOption(OPTION.go, choice("", 1, 3)),
  Protocol.writeRequest({ command: COMMAND.read, cookie: 1n, flags: 0, offset: 0, length: 5000 }),
  Protocol.writeRequest({ command: COMMAND.blockStatus, cookie: 2n, flags: 0, offset: 0, length: 5000 }),
  Protocol.writeRequest({ command: COMMAND.write, cookie: 3n, flags: 0, offset: 0, length: 30 }),
  Buffer.alloc(30, 1),
  Protocol.writeRequest({ command: COMMAND.disconnect, cookie: 4n, flags: 0, offset: 0, length: 0 })
])

/** Reads whatever comes, until the server has closed its side or has nothing more to say. */
const drain = (stream: Duplex) =>
  Effect.promise(async () => {
    let count = 0
    const take = (data: Buffer) => count += data.length
    stream.on("data", take)
    for (let quiet = 0, before = -1; quiet < 3; quiet = count === before ? quiet + 1 : 0, before = count) {
      await setImmediate()
    }
    stream.off("data", take)
    return count
  })

const isWell = (connect: Effect.Effect<ReturnType<typeof make>>) =>
  Effect.gen(function*() {
    const client = yield* connect
    yield* client.go()
    assert.deepStrictEqual((yield* client.read(11, 4000)).bytes, content.subarray(11, 4011))
    client.stream.destroy()
  })

describe("hostile and unlucky clients", () => {
  it.scoped("may vanish after any byte: nobody else notices", () =>
    Effect.gen(function*() {
      const { connect, stream } = yield* serving()
      for (let length = 0; length <= conversation.length; length++) {
        for (const way of ["destroy", "end"] as const) {
          const client = yield* stream
          client.write(conversation.subarray(0, length))
          if (length % 2 === 0) yield* drain(client)
          client[way]()
          yield* drain(client)
        }
      }
      yield* isWell(connect)
    }))

  it.scoped("may send every byte alone", () =>
    Effect.gen(function*() {
      const { connect, stream } = yield* serving()
      const client = yield* stream
      for (const byte of conversation) client.write(Buffer.of(byte))
      assert.isAbove(yield* drain(client), 4000)
      yield* isWell(connect)
    }))

  it.effect("may say anything: the server lives, and serves others", () =>
    Effect.promise(() =>
      FastCheck.assert(
        FastCheck.asyncProperty(
          FastCheck.array(
            FastCheck.oneof(
              FastCheck.record({ at: FastCheck.nat(conversation.length - 1), byte: FastCheck.nat(255) }),
              FastCheck.record({
                at: FastCheck.nat(conversation.length - 1),
                bytes: FastCheck.uint8Array({ maxLength: 40 })
              }),
              FastCheck.record({ at: FastCheck.nat(conversation.length - 1), cut: FastCheck.nat(40) })
            ),
            { minLength: 1, maxLength: 4 }
          ),
          (changes) => {
            let bytes: Buffer = Buffer.from(conversation)
            for (const change of changes) {
              const { at } = change
              if ("byte" in change) bytes[Math.min(at, bytes.length - 1)] = change.byte
              else if ("bytes" in change) {
                bytes = Buffer.concat([bytes.subarray(0, at), change.bytes, bytes.subarray(at)])
              } else bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + change.cut)])
            }
            return Effect.runPromise(Effect.scoped(Effect.gen(function*() {
              const { connect, stream } = yield* serving()
              const client = yield* stream
              client.write(bytes)
              yield* drain(client)
              client.destroy()
              yield* isWell(connect)
            })))
          }
        ),
        { numRuns: 300 }
      )
    ))

  it.scoped("cost bounded memory when they take nothing, and others nothing", () =>
    Effect.gen(function*() {
      let asked = 0
      const counting: Export = {
        ...large,
        read: (_, length) =>
          Effect.sync(() => {
            asked += length
            return [{ length, bytes: Buffer.alloc(length) }]
          })
      }
      const { connect } = yield* serving({ "": disk, counting })
      const greedy = yield* connect
      yield* greedy.go("counting")
      const length = 2 ** 20
      for (let n = 0; n < 1000; n++) {
        const { read: command } = COMMAND
        greedy.stream.write(Protocol.writeRequest({ command, cookie: BigInt(n), flags: 0, offset: n * length, length }))
      }
      yield* Effect.promise(() => setImmediate())
      yield* isWell(connect)
      yield* isWell(connect)
      assert.isAtMost(asked, BUDGET + 2 * length)
      // small ones are not free either
      const small = yield* connect
      asked = 0
      yield* small.go("counting")
      for (let n = 0; n < 10_000; n++) {
        const { read: command } = COMMAND
        small.stream.write(Protocol.writeRequest({ command, cookie: BigInt(n), flags: 0, offset: n, length: 4096 }))
      }
      yield* isWell(connect)
      // what is being answered, and what has arrived where it is not asked for
      assert.isAtMost(asked, 256 * 4096 + 2 ** 20)
      for (const { stream } of [greedy, small]) stream.destroy()
    }))

  it.scoped("are turned away when there are too many, until one has left", () =>
    Effect.gen(function*() {
      const { connect } = yield* serving()
      const many = []
      for (let n = 0; n < Server.MAX_CLIENTS; n++) {
        const client = yield* connect
        yield* client.go()
        many.push(client)
      }
      const late = yield* connect
      assert.strictEqual((yield* Effect.flip(late.take(18))).reason, "the server closed the connection")
      many[5]?.stream.destroy()
      yield* Effect.promise(() => setImmediate())
      yield* isWell(connect)
      assert.deepStrictEqual((yield* many[6]!.read(3, 8)).bytes, content.subarray(3, 11))
    }))
})

describe("the end", () => {
  it.scoped("waits for what is in flight, and reads nothing more", () =>
    Effect.gen(function*() {
      const started = yield* Deferred.make<void>()
      const goOn = yield* Deferred.make<void>()
      const slow: Export = {
        ...disk,
        read: (offset, length) =>
          Effect.zipRight(
            Deferred.succeed(started, undefined),
            Effect.zipRight(Deferred.await(goOn), disk.read(offset, length))
          )
      }
      const { connect, end } = yield* serving({ "": slow })
      const client = yield* connect
      yield* client.go()
      const reading = yield* Effect.fork(client.read(0, 100))
      yield* Deferred.await(started)
      const ending = yield* Effect.fork(end)
      yield* Effect.promise(() => setImmediate())
      yield* Deferred.succeed(goOn, undefined)
      assert.deepStrictEqual((yield* Fiber.join(reading)).bytes, content.subarray(0, 100))
      yield* Fiber.join(ending)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(client.read(0, 100))))
    }))

  it.scoped("does not wait for long", () =>
    Effect.gen(function*() {
      const started = yield* Deferred.make<void>()
      const never: Export = {
        ...disk,
        read: () => Effect.zipRight(Deferred.succeed(started, undefined), Effect.never)
      }
      const { connect, end } = yield* serving({ "": never })
      const client = yield* connect
      yield* client.go()
      const reading = yield* Effect.fork(Effect.exit(client.read(0, 100)))
      yield* Deferred.await(started)
      const ending = yield* Effect.fork(end)
      yield* Effect.promise(() => setImmediate())
      yield* TestClock.adjust("4 seconds")
      yield* Fiber.join(ending)
      assert.isTrue(Exit.isFailure(yield* Fiber.join(reading)))
    }))
})
