/**
 * A repository whose `config` is damaged: every command ends, none with a bug, what needs no config goes on, and nothing
 * is removed. `BACKY_CONFIG_RUNS` more, `BACKY_SEED` the same again.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { randomNumbers } from "../../src/platform/MemoryChoices.ts"
import { breathe } from "../support/breathe.ts"
import { listOf } from "../support/diskFiles.ts"
import { REPOSITORY, setFile } from "../support/World.ts"
import { backy, twoRevisions } from "./backy.ts"

const SEED = Number(process.env["BACKY_SEED"] ?? Date.now() % 1_000_000)
const RUNS = Number(process.env["BACKY_CONFIG_RUNS"] ?? 12)

const CONFIG = `source: {type: file, filename: /images/vm.img, backend: chunked}
schedule:
  daily: {interval: 1d, keep: 3}
  weekly: {interval: 7d, keep: 2}
settings:
  workers: 2
  compression-level: 3
  stall-timeout: 30m
  verify-rotation: 30
  free-space-floor: 5%
`

/** Those that read nothing of the config, and those that need it. */
const indifferent = [["status"], ["find", "-r", "all"], ["restore", "-"], ["diff", "0", "1"], ["reports", "list"]]
const needing = [
  ["verify"],
  ["tags", "add", "-f", "daily"],
  ["distrust"],
  ["expire", "-n"],
  ["expire"],
  ["backup", "daily"],
  ["upgrade"],
  ["purge"],
  ["init", "file", "/images/vm.img"]
]

/** Words that mean something to YAML or to a schema, in places where they should not stand. */
const odd = [
  "&a ",
  "*a",
  "!!js/function",
  "? ",
  "- ",
  "{",
  "}",
  "[",
  "|",
  ">",
  "%",
  "0",
  "-1",
  "1e999",
  "~",
  "<<: ",
  "\0"
]

interface Damage {
  readonly what: string
  readonly content: Uint8Array
}

const damaged = (bytes: Uint8Array, kind: number, at: number, byte: number): Damage => {
  const index = at % bytes.length
  const changed = Uint8Array.from(bytes)
  const text = new TextDecoder().decode(bytes)
  const word = odd[byte % odd.length] ?? ""
  switch (kind) {
    case 0:
      changed[index] = (bytes[index] ?? 0) ^ (1 << (byte % 8))
      return { what: `bit ${byte % 8} of byte ${index}`, content: changed }
    case 1:
      return { what: `cut to ${index} bytes`, content: bytes.slice(0, index) }
    case 2:
      return {
        what: `from byte ${index} on garbage`,
        content: changed.map((old, i) => i < index ? old : (i * byte) & 255)
      }
    case 3:
      return {
        what: `${word} at ${index}`,
        content: new TextEncoder().encode(text.slice(0, index) + word + text.slice(index))
      }
    case 4: {
      const lines = text.split("\n")
      lines.splice(at % lines.length, 1)
      return { what: `without line ${at % lines.length}`, content: new TextEncoder().encode(lines.join("\n")) }
    }
    default: {
      const lines = text.split("\n")
      const line = at % lines.length
      lines.splice(line, 0, lines[line] ?? "")
      return { what: `line ${line} twice`, content: new TextEncoder().encode(lines.join("\n")) }
    }
  }
}

describe("a config that is damaged", () => {
  it.effect(
    `somewhere (seed ${SEED}) crashes no command, hangs none, and costs no revision`,
    () =>
      Effect.gen(function*() {
        const next = randomNumbers(SEED)
        const below = (limit: number) => Math.floor(next() * limit)
        const bytes = new TextEncoder().encode(CONFIG)
        for (let n = 0; n < RUNS; n++) {
          yield* Effect.promise(() => breathe())
          const { machine } = yield* twoRevisions
          const { content, what } = damaged(bytes, n % 6, below(bytes.length), 1 + below(255))
          setFile(machine.disk, `${REPOSITORY}/config`, content)
          const metadata = () =>
            listOf(machine.disk, REPOSITORY).filter((name) => /^[0-9A-Za-z]{22}(\.rev)?$/.test(name))
          const before = metadata()
          const said = `seed ${SEED}, run ${n}: ${what}`
          for (const argv of [...indifferent, ...needing]) {
            const outcome = yield* backy(machine, ...argv)
            assert.include([0, 1, 2], outcome.code, `${said}: ${argv.join(" ")}: ${outcome.err.join("\n")}`)
            if (indifferent.includes(argv)) assert.strictEqual(outcome.code, 0, `${said}: ${argv.join(" ")}`)
          }
          assert.includeMembers([...metadata()], [...before], said)
        }
      }),
    300_000
  )
})
