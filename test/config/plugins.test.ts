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
    const settings = { plugins: ["/etc/backy/x.mjs"] }
    const text = RepositoryConfig.encode({ source: job.source, schedule: job.schedule, settings })
    const again = Either.getOrThrow(RepositoryConfig.decode(text, { file: "config" }))
    assert.deepStrictEqual({ ...again.source }, {
      type: "command",
      command: ["cat", "/x"],
      "size-command": ["echo", "x"]
    } as never)
    assert.deepStrictEqual(again.settings, settings)
  })

  it("are unknown where no plug-in is named", () => {
    const decoded = DaemonConfig.decode(daemon("[]"), { file: "backy.conf" })
    assert.match(Either.isLeft(decoded) ? decoded.left.message : "", /there is no source type "command"/)
  })

  it("are unknown to who knows all plug-ins", () => {
    const text = "settings: {plugins: [x]}\nschedule: {daily: {interval: 1d, keep: 7}}\nsource: {type: tape}\n"
    assert.isTrue(Either.isLeft(RepositoryConfig.decode(text, { file: "config", sources: [] })))
  })
})
