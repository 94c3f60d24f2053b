import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as DaemonConfig from "../../src/config/DaemonConfig.ts"
import * as RepositoryConfig from "../../src/config/RepositoryConfig.ts"

const daemon = (plugins: string) => `
global: {plugins: ${plugins}}
schedules: {default: {daily: {interval: 1d, keep: 7}}}
jobs: {web01: {schedule: default, source: {type: command, command: [cat, /x], "size-command": [echo, x]}}}
`

describe("sources of plug-ins in a config", () => {
  it("go through the daemon as they are, into the config of their repository", () => {
    const [job] = Either.getOrThrow(DaemonConfig.decode(daemon("[/etc/backy/x.mjs]"), { file: "backy.conf" })).jobs
    if (job === undefined) return assert.fail("no job")
    const text = RepositoryConfig.encode({ source: job.source, schedule: job.schedule })
    const again = Either.getOrThrow(RepositoryConfig.decode(text, { file: "config", foreign: true }))
    assert.deepStrictEqual({ ...again.source }, {
      type: "command",
      command: ["cat", "/x"],
      "size-command": ["echo", "x"]
    } as never)
  })

  it("are unknown where no plug-in is named", () => {
    const decoded = DaemonConfig.decode(daemon("[]"), { file: "backy.conf" })
    assert.match(Either.isLeft(decoded) ? decoded.left.message : "", /there is no source type "command"/)
  })

  it("are unknown to who knows all plug-ins, whatever a repository's config says about them", () => {
    const text = "settings: {plugins: [/x]}\nschedule: {daily: {interval: 1d, keep: 7}}\nsource: {type: tape}\n"
    for (const options of [{}, { sources: [] }]) {
      const decoded = RepositoryConfig.decode(text, { file: "config", ...options })
      assert.match(Either.isLeft(decoded) ? decoded.left.message : "", /there is no source type "tape"/)
    }
  })

  it("have plug-ins that can be handed on: absolute paths without a colon", () => {
    for (const plugin of ["x.mjs", "./x.mjs", "backy-s3", "/etc/a:b.mjs", "", "/a\\nb", "file:///x.mjs"]) {
      const decoded = DaemonConfig.decode(daemon(`["${plugin}"]`), { file: "backy.conf" })
      assert.match(
        Either.isLeft(decoded) ? decoded.left.message : "",
        /global\.plugins\.0: expected the absolute path of a module, without a colon, got "/,
        plugin
      )
    }
  })
})
