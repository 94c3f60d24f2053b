/**
 * Every kind of object in the place of every file and folder of a repository, for every command: nothing outside of it is
 * read through, written or removed, nothing hangs, and no wrong byte is restored.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import * as FS from "node:fs"
import { createServer, type Server } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { image } from "./backy.ts"
import { run } from "./onDisk.ts"

const isRoot = process.getuid?.() === 0

let folder = ""
let pristine = ""
const at = (...names: ReadonlyArray<string>) => join(folder, ...names)

const commands: ReadonlyArray<ReadonlyArray<string>> = [
  ["status"],
  ["status", "--json"],
  ["find", "-r", "all"],
  ["restore", "-"],
  ["verify"],
  ["backup", "daily"],
  ["purge"],
  ["expire"],
  ["forget", "-f", "-r", "0"],
  ["distrust"],
  ["tags", "add", "-f", "daily"],
  ["upgrade"],
  ["diff", "0", "1"],
  ["reports", "list"],
  ["init", "file", "/x"]
]

/** Each makes an object at a path; `outside` is a folder with a file `secret` that nothing may touch. */
const kinds: Readonly<Record<string, (path: string, original: string) => void>> = {
  "a link to its own content elsewhere": (path, original) => FS.symlinkSync(original, path),
  "a link to a file outside": (path) => FS.symlinkSync(at("outside", "secret"), path),
  "a link to a folder outside": (path) => FS.symlinkSync(at("outside"), path),
  "a link to nothing": (path) => FS.symlinkSync(at("outside", "new"), path),
  "a link to itself": (path) => FS.symlinkSync(path, path),
  "a pipe": (path) => void execFileSync("mkfifo", [path]),
  "a socket": (path) => FS.linkSync(at("socket"), path),
  "a directory": (path) => {
    FS.mkdirSync(path)
    FS.writeFileSync(join(path, "x"), "x")
  },
  "another file by a second name": (path) => FS.linkSync(at("outside", "secret"), path),
  "a huge file": (path) => {
    FS.writeFileSync(path, "")
    FS.truncateSync(path, 2 ** 42)
  },
  ...isRoot
    ? {
      "a device that never ends": (path: string) => void execFileSync("mknod", [path, "c", "1", "5"]),
      "a block device": (path: string) => void execFileSync("mknod", [path, "b", "7", "251"])
    }
    : {}
}

/** What lies in the repository, by words that do not change with ids. */
const places = (): Readonly<Record<string, string>> => {
  const names = FS.readdirSync(pristine)
  const id = names.find((name) => name.endsWith(".rev"))?.slice(0, -4) ?? assert.fail("there is no revision")
  const [chunkFolder = ""] = FS.readdirSync(join(pristine, "chunks")).filter((name) => /^[0-9a-f]{2}$/.test(name))
  const [chunk = ""] = FS.readdirSync(join(pristine, "chunks", chunkFolder))
  return {
    "the config": "config",
    "the lock of backups": ".backup",
    "the lock of purges": ".purge",
    "the list of snapshots": "snapshots",
    "the folder of chunks": "chunks",
    "the marker of the layout": "chunks/store",
    "a folder of chunks": `chunks/${chunkFolder}`,
    "a chunk": `chunks/${chunkFolder}/${chunk}`,
    "a revision": `${id}.rev`,
    "a map": id,
    "a map of an upgrade": `${id}.map`,
    "an image of an upgrade": `${id}.old`,
    "the quarantine": "quarantine",
    "the contents in quarantine": "quarantine/chunks",
    "a report": `quarantine/${id}.report`
  }
}

/** Everything in the folder that nothing may touch. */
const survey = (): string => {
  const names = FS.readdirSync(at("outside"), { recursive: true, encoding: "utf8" }).sort()
  return JSON.stringify(names.map((name) => {
    const { ino, mode, mtimeMs, size } = FS.lstatSync(at("outside", name))
    return [
      name,
      ino,
      mode,
      mtimeMs,
      size,
      size < 1e6 && name.endsWith("secret") ? FS.readFileSync(at("outside", name), "utf8") : ""
    ]
  }))
}

let server: Server | undefined
beforeAll(async () => {
  folder = FS.mkdtempSync(join(tmpdir(), "backy-planted-"))
  pristine = at("pristine")
  FS.mkdirSync(at("outside"))
  FS.writeFileSync(at("outside", "secret"), "nobody may touch this\n")
  server = createServer().listen(at("socket"))
  FS.writeFileSync(at("vm.img"), image(1))
  assert.strictEqual((await run(pristine, "init", "file", at("vm.img"))).code, 0)
  assert.strictEqual((await run(pristine, "backup", "daily")).code, 0)
  FS.writeFileSync(at("vm.img"), image(2))
  assert.strictEqual((await run(pristine, "backup", "daily")).code, 0)
  FS.mkdirSync(join(pristine, "quarantine", "chunks"), { recursive: true })
})
afterAll(() => {
  server?.close()
  FS.rmSync(folder, { recursive: true, force: true })
})

/** All commands for each with BACKY_PLANTS=all, otherwise a few that change from one to the next. */
const EACH = process.env.BACKY_PLANTS === "all" ? commands.length : 2

let turn = 0

describe("nothing is followed out of a repository", () => {
  for (const kind of Object.keys(kinds)) {
    it(`when there is ${kind} in the place of any file or folder`, async () => {
      // not the same commands for the same places as with the kind before
      turn += 7
      for (const [place, name] of Object.entries(places())) {
        for (let count = 0; count < EACH; count++) {
          const command = commands[turn++ % commands.length] ?? []
          const what = `${command.join(" ")} with ${kind} as ${place}`
          const directory = at("victim")
          const original = at("original")
          // a case before that failed may have left them, and to copy onto them ends this process
          for (const left of [directory, original]) FS.rmSync(left, { recursive: true, force: true })
          FS.cpSync(pristine, directory, { recursive: true })
          const path = join(directory, name)
          if (FS.existsSync(path)) FS.renameSync(path, original)
          kinds[kind]?.(path, original)
          const before = survey()
          const { code, restored, said } = await run(directory, ...command)
          assert.notStrictEqual(code, 70, `${what}: ${said}`)
          assert.strictEqual(survey(), before, `${what}: ${said}`)
          if (command[0] === "restore" && code === 0) {
            assert.isTrue([1, 2].some((first) => restored.equals(image(first))), `${what}: ${said}`)
          }
          // what all commands share is refused by name
          if (kind.startsWith("a link") && /^(?:chunks|quarantine|\.backup)$/.test(name) && command[0] !== "init") {
            assert.strictEqual(code, 1, `${what}: ${said}`)
            assert.include(said, path, what)
            assert.match(said, /a symbolic link where backy keeps|nothing is followed|is a symbolic link/, what)
          }
        }
      }
    }, 600_000)
  }

  it("but the repository itself may be reached by a link", async () => {
    FS.cpSync(pristine, at("real"), { recursive: true })
    FS.symlinkSync(at("real"), at("by-link"))
    for (const command of commands.slice(0, 7)) {
      const { code, said } = await run(at("by-link"), ...command)
      assert.strictEqual(code, 0, `${command.join(" ")}: ${said}`)
    }
  })

  it("and a link in a revision's place is a revision that cannot be read, as any other", async () => {
    const { "a revision": rev = "" } = places()
    const directory = at("linked")
    FS.cpSync(pristine, directory, { recursive: true })
    FS.renameSync(join(directory, rev), at("moved.rev"))
    FS.symlinkSync(at("moved.rev"), join(directory, rev))
    // versions before 2.5 of the ancestor made links to the newest revision: names that are no revision's
    FS.symlinkSync(rev, join(directory, "last.rev"))
    const status = await run(directory, "status")
    assert.strictEqual(status.code, 0, status.said)
    assert.include(status.said, `ignoring ${join(directory, rev)}: cannot open`)
    assert.notInclude(status.said, "last.rev")
    const purge = await run(directory, "purge")
    assert.notStrictEqual(purge.code, 70, purge.said)
    // its chunks are still named by its map; itself it cannot be checked
    const again = await run(directory, "verify")
    assert.strictEqual(again.code, 1, again.said)
    assert.include(again.said, "cannot be checked, since its metadata cannot be used")
    FS.rmSync(join(directory, rev))
    FS.renameSync(at("moved.rev"), join(directory, rev))
    const all = await run(directory, "verify", "-r", "all")
    assert.strictEqual(all.code, 0, all.said)
  })
})
