/** The whole daemon in memory, on a clock of its own: its lock, its config file, its status file, its shell, its end. */
import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import { type Controls, execute } from "../../src/daemon/commands.ts"
import * as Daemon from "../../src/daemon/Daemon.ts"
import { Program } from "../../src/daemon/JobRunner.ts"
import * as Shell from "../../src/daemon/Shell.ts"
import * as StatusFile from "../../src/daemon/StatusFile.ts"
import * as Revision from "../../src/domain/Revision.ts"
import * as Simulation from "../../src/library/Simulation.ts"
import * as BlockFile from "../../src/platform/BlockFile.ts"
import * as DiskFileSystem from "../../src/platform/diskFileSystem.ts"
import * as FileLock from "../../src/platform/FileLock.ts"
import * as MemoryDisk from "../../src/platform/MemoryDisk.ts"
import * as Process from "../../src/platform/Process.ts"
import * as RevisionFile from "../../src/repository/revisionFile.ts"
import { setFile } from "../support/World.ts"

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const CONFIG = "/etc/backy.conf"
const STATUS = "/srv/backy/status"

const config = (names: ReadonlyArray<string>, more = "") => `
global: {base-dir: /srv/backy, telnet-addrs: 127.0.0.1, nice: 0${more}}
schedules: {usual: {hourly: {interval: 1h, keep: 3}}}
jobs:
${names.map((name) => `  ${name}: {schedule: usual, source: {type: file, filename: /images/${name}}}`).join("\n")}
`

/** A machine with a config file, on which backups take five minutes. */
const machine = () => {
  const memory = MemoryDisk.make()
  for (const directory of ["/etc", "/srv", "/srv/backy"]) memory.disk.makeDirectory(directory, 0o750)
  const simulation = Simulation.make({ seed: 1 })
  const locks = FileLock.makeTable()
  const shells = new Map<string, Controls>()
  const log: Array<string> = []
  let made = 0
  const write = (path: string, content: Uint8Array | string) =>
    setFile(memory.disk, path, typeof content === "string" ? new TextEncoder().encode(content) : content)
  const exists = (path: string): boolean => {
    try {
      return memory.disk.lstat(path).kind === "file"
    } catch {
      return false
    }
  }

  const backup = (directory: string, tags: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      yield* Effect.sleep(5 * MINUTE)
      const revision = Revision.make({
        id: Revision.fromRandom(new Uint8Array(16).fill(++made)),
        parent: null,
        backendType: "chunked-v4",
        timestamp: DateTime.unsafeMake(simulation.now - 5 * MINUTE),
        tags,
        trust: "trusted",
        stats: { duration: 300 },
        size: 0,
        mapDigest: "ab".repeat(32)
      })
      write(`${directory}/${revision.id}.rev`, RevisionFile.encode(revision))
      return {}
    }).pipe(Effect.onInterrupt(() => Effect.sync(() => void log.push("the child was ended"))))
  const program: Process.Program = ([, directory = "", , , command, tags = ""]) =>
    command === "backup" ? backup(directory, tags.split(",")) : {}

  const logger = Logger.replace(
    Logger.defaultLogger,
    Logger.make<unknown, void>(({ logLevel, message }) => void log.push(`${logLevel.label} ${String(message)}`))
  )
  const start = () =>
    simulation.fork(
      Daemon.run(CONFIG).pipe(
        Effect.provide(Layer.mergeAll(
          Process.layerMemory({ backy: program }),
          Layer.succeed(Program, { command: "backy", args: [] }),
          Shell.layerMemory(shells),
          FileLock.layerMemory(locks),
          DiskFileSystem.layer(memory.disk),
          BlockFile.layerDisk(memory.disk),
          logger
        ))
      )
    )
  return {
    disk: memory.disk,
    simulation,
    shells,
    log,
    write,
    exists,
    start,
    /** What the status file says now; nothing when there is none. */
    status: () => {
      if (!exists(STATUS)) return undefined
      const descriptor = memory.disk.open(STATUS, { access: "read" })
      const bytes = new Uint8Array(memory.disk.stat(descriptor).size)
      memory.disk.read(descriptor, bytes, 0)
      memory.disk.close(descriptor)
      return Either.getOrThrow(StatusFile.decode(new TextDecoder().decode(bytes)))
    },
    /** One line in its shell. */
    say: (line: string) => {
      const [controls] = shells.values()
      assert.isDefined(controls)
      const exit = simulation.run(Effect.provide(execute(controls, line), logger))
      return exit._tag === "Success" ? [exit.value].flat() : ["it died"]
    },
    /** SIGTERM. */
    end: (daemon: Fiber.RuntimeFiber<unknown, unknown>) => simulation.run(Fiber.interrupt(daemon))
  }
}

const failure = (daemon: Fiber.RuntimeFiber<unknown, unknown>): unknown => {
  const exit = daemon.unsafePoll()
  return exit?._tag === "Failure" && exit.cause._tag === "Fail" ? exit.cause.error : exit
}

describe("the daemon", () => {
  it("runs its jobs, and writes a status file that everybody may read", () => {
    const { disk, simulation, start, status, write } = machine()
    write(CONFIG, config(["web01", "db01"]))
    const daemon = start()
    simulation.pass(1000)
    assert.deepStrictEqual(status()?.map(({ job, sla }) => [job, sla]), [["db01", "OK"], ["web01", "OK"]])
    assert.strictEqual(disk.lstat(STATUS).mode & 0o777, 0o644)
    simulation.pass(2 * HOUR)
    for (const job of status() ?? []) {
      assert.deepStrictEqual([job.sla, job.last_tags, job.failures], ["OK", "hourly", 0])
    }
    assert.isNull(daemon.unsafePoll())
  })

  it("writes the status file also when nothing has changed: its age is the sign of life", () => {
    const { disk, simulation, start, write } = machine()
    write(CONFIG, config(["web01"]))
    start()
    // the first backup is made, and the next is far away
    simulation.pass(20 * MINUTE)
    const inodes = new Set<number>()
    for (let count = 0; count < 4; count++) {
      inodes.add(disk.lstat(STATUS).ino)
      simulation.pass(30_000)
    }
    assert.strictEqual(inodes.size, 4)
  })

  it("is alone on its base directory, and leaves it to the next when it ends", () => {
    const { end, simulation, start, write } = machine()
    write(CONFIG, config(["web01"]))
    const first = start()
    simulation.pass(1000)
    const second = start()
    simulation.pass(1000)
    assert.match(String(failure(second)), /another scheduler runs on \/srv\/backy/)
    assert.isNull(first.unsafePoll())
    end(first)
    const third = start()
    simulation.pass(MINUTE)
    assert.isNull(third.unsafePoll())
  })

  it("starts nothing without its base directory's marker, and ends when that goes away", () => {
    const { disk, exists, log, simulation, start, write } = machine()
    write(CONFIG, config(["web01"], ", base-marker: .backy-base"))
    const refused = start()
    simulation.pass(MINUTE)
    assert.include(String(failure(refused)), "has no file .backy-base")
    assert.deepStrictEqual(disk.list("/srv/backy"), [])
    write("/srv/backy/.backy-base", "")
    const daemon = start()
    simulation.pass(2 * HOUR)
    assert.isTrue(exists(STATUS))
    disk.unlink("/srv/backy/.backy-base")
    disk.unlink(STATUS)
    simulation.pass(MINUTE)
    assert.include(String(failure(daemon)), "has no file .backy-base")
    assert.isFalse(exists(STATUS))
    assert.strictEqual(log.at(-1), "INFO scheduler stopped")
  })

  it("does not begin without its config or its base directory, and makes neither", () => {
    const { exists, simulation, start, write } = machine()
    const outcomes = [undefined, "jobs: [", config(["a", "a"]), config(["a"]).replace("/srv/backy", "/srv/nowhere")]
      .map(
        (text) => {
          if (text !== undefined) write(CONFIG, text)
          const daemon = start()
          simulation.pass(1000)
          return String(failure(daemon))
        }
      )
    const expected = [/there is no config file/, /backy\.conf/, /a/, /cannot use the base directory \/srv\/nowhere/]
    for (const [index, pattern] of expected.entries()) assert.match(outcomes[index] ?? "", pattern)
    assert.isFalse(exists(STATUS))
  })

  it("goes on by the old config when the new one is wrong, says so, and takes the right one", () => {
    const { log, say, simulation, start, status, write } = machine()
    write(CONFIG, config(["web01"]))
    const daemon = start()
    simulation.pass(1000)
    for (
      const [text, why] of [
        [config(["web01"]).replace("schedule: usual", "schedule: usul"), /did you mean "usual"/],
        ["a: &a [*a, *a]", /./],
        [config(["web01", "../web02"]), /web02/],
        [config(["web01"]).replace("1h", "0s"), /interval/],
        [config(["web01"]).replace("/srv/backy", "/srv/other"), /base-dir became \/srv\/other, which needs a restart/]
      ] as const
    ) {
      write(CONFIG, text)
      assert.match(say("reload").join("\n"), /The new configuration is wrong, the old one stays:\n/)
      assert.match(status()?.[0]?.reload_refused ?? "", why)
      assert.match(
        log.findLast((one) => one.startsWith("ERROR")) ?? "",
        /^ERROR the config was not reloaded, the old one stays: /
      )
    }
    write(CONFIG, config(["web01", "web02"]))
    assert.deepStrictEqual(say("reload"), ["Triggering daemon reload.", "Daemon configuration reloaded."])
    assert.deepStrictEqual(status()?.map(({ job, reload_refused }) => [job, reload_refused]), [
      ["web01", null],
      ["web02", null]
    ])
    assert.isNull(daemon.unsafePoll())
  })

  it("reads its config again at SIGHUP, survives that it has vanished, and listens to no SIGHUP when it has ended", () => {
    const { disk, end, log, simulation, start, write } = machine()
    const listeners = process.listenerCount("SIGHUP")
    write(CONFIG, config(["web01"]))
    const daemon = start()
    simulation.pass(1000)
    disk.unlink(CONFIG)
    process.emit("SIGHUP")
    simulation.pass(1000)
    assert.match(log.findLast((one) => one.startsWith("ERROR")) ?? "", /not reloaded.*there is no config file/)
    write(CONFIG, config(["web01", "web02"]))
    process.emit("SIGHUP")
    simulation.pass(1000)
    assert.isTrue(log.includes("INFO reloaded /etc/backy.conf: 2 jobs"))
    end(daemon)
    assert.strictEqual(process.listenerCount("SIGHUP"), listeners)
  })

  it("moves its shell when the config says so, and only then", () => {
    const { say, shells, simulation, start, write } = machine()
    write(CONFIG, config(["web01"]))
    start()
    simulation.pass(1000)
    const before = shells.get("127.0.0.1:6023")
    write(CONFIG, config(["web01", "web02"]))
    say("reload")
    assert.strictEqual(shells.get("127.0.0.1:6023"), before)
    write(CONFIG, config(["web01"], ", telnet-port: 6024"))
    say("reload")
    simulation.pass(0)
    assert.deepStrictEqual([...shells.keys()], ["127.0.0.1:6024"])
    assert.match(say("jobs").join("\n"), /1 job shown/)
  })

  it("ends its children, its shell and itself at SIGTERM, and makes up for it when it starts again", () => {
    const { end, log, shells, simulation, start, status, write } = machine()
    write(CONFIG, config(["web01"]))
    const daemon = start()
    simulation.pass(2 * MINUTE)
    assert.match(status()?.[0]?.status ?? "", /^running/)
    end(daemon)
    assert.deepStrictEqual(log.slice(-2), ["the child was ended", "INFO scheduler stopped"])
    assert.strictEqual(shells.size, 0)
    start()
    simulation.pass(6 * MINUTE)
    assert.isTrue(log.includes("INFO made hourly"))
  })

  it("names directories of former jobs, and leaves them alone", () => {
    const { disk, exists, log, simulation, start, write } = machine()
    for (const name of ["old01", "lost+found"]) disk.makeDirectory(`/srv/backy/${name}`, 0o750)
    write("/srv/backy/old01/config", "")
    write(CONFIG, config(["web01"], ", status-interval: 120"))
    start()
    simulation.pass(25 * HOUR)
    const told = log.filter((line) => line.includes("not configured any more"))
    assert.deepStrictEqual(told, Array(2).fill("WARN not configured any more, and left alone: old01"))
    assert.isTrue(exists("/srv/backy/old01/config"))
  })
})
