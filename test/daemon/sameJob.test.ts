import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import * as Job from "../../src/daemon/Job.ts"
import type { FlyingCircusSource } from "../../src/domain/SourceConfig.ts"

const job = (token: string | undefined, image = "vm") => {
  const source: FlyingCircusSource = {
    type: "flyingcircus",
    vm: "vm",
    pool: "rbd",
    image,
    ...token === undefined ? {} : { consulAclToken: Redacted.make(token) }
  }
  return { name: "vm", scheduleName: "default", schedule: { daily: { interval: Duration.days(1), keep: 3 } }, source }
}

describe("a job's config that is read again", () => {
  it("is the same when it says the same, and another with another secret, which no text of it shows", () => {
    assert.isTrue(Job.isSame(job("secret"), job("secret")))
    assert.isTrue(Job.isSame(job(undefined), job(undefined)))
    assert.isFalse(Job.isSame(job("secret"), job("other")))
    assert.isFalse(Job.isSame(job("secret"), job(undefined)))
    assert.isFalse(Job.isSame(job("secret"), job("secret", "vm2")))
    assert.notInclude(JSON.stringify(job("secret")), "secret\"")
  })
})
