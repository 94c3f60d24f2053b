/** What every `Consul` promises: the real one over HTTP, and the twin. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { Consul } from "../../../src/platform/Consul.ts"

/** Layers on one store, and a prefix of keys that nobody else uses. */
export interface ConsulFixture {
  /** May do everything. */
  readonly manager: Layer.Layer<Consul>
  /** May do everything below `snapshot/` and nothing else. */
  readonly limited: Layer.Layer<Consul>
  /** Without any right. */
  readonly stranger: Layer.Layer<Consul>
  readonly prefix: string
}

export const consulContract = (name: string, make: () => ConsulFixture): void => {
  describe(`Consul: ${name}`, () => {
    const fixture = make()
    const key = (path: string) => `snapshot/${fixture.prefix}/${path}`
    const as = (who: "limited" | "manager" | "stranger") => Effect.provide(fixture[who])

    it.live("gives back what was put, replaces it and removes it", () =>
      Effect.gen(function*() {
        const consul = yield* Consul
        yield* consul.put(key("a"), "{\"vm\": \"wöb 🖥\"}")
        assert.deepStrictEqual(yield* consul.get(key("a")), Option.some("{\"vm\": \"wöb 🖥\"}"))
        yield* consul.put(key("a"), "")
        assert.deepStrictEqual(yield* consul.get(key("a")), Option.some(""))
        yield* consul.remove(key("a"))
        assert.deepStrictEqual(yield* consul.get(key("a")), Option.none())
      }).pipe(as("limited")))

    it.live("knows no missing key, and removes one without complaint", () =>
      Effect.gen(function*() {
        const consul = yield* Consul
        assert.deepStrictEqual(yield* consul.get(key("nothing")), Option.none())
        yield* consul.remove(key("nothing"))
        assert.deepStrictEqual(yield* consul.list(key("nothing/")), [])
      }).pipe(as("limited")))

    it.live("lists the keys below a prefix with their values, whatever characters are in them", () =>
      Effect.gen(function*() {
        const consul = yield* Consul
        for (const path of ["list/a b", "list/b?c=d&e", "list/ä%41", "other"]) yield* consul.put(key(path), path)
        const listed = yield* consul.list(key("list/"))
        assert.sameDeepMembers([...listed], [
          { key: key("list/a b"), value: "list/a b" },
          { key: key("list/b?c=d&e"), value: "list/b?c=d&e" },
          { key: key("list/ä%41"), value: "list/ä%41" }
        ])
      }).pipe(as("limited")))

    it.live("refuses keys that the token has no right to, and says so", () =>
      Effect.gen(function*() {
        const consul = yield* Consul
        const error = yield* Effect.flip(consul.put(`elsewhere/${fixture.prefix}`, "x"))
        assert.strictEqual(error.reason, "refused")
        assert.match(error.message, /^cannot write elsewhere\/\S+ to Consul: it answered 403/)
      }).pipe(as("limited")))

    it.live("shows nothing to a stranger", () =>
      Effect.gen(function*() {
        yield* Effect.provide(Effect.flatMap(Consul, (consul) => consul.put(key("secret"), "x")), fixture.manager)
        const consul = yield* Consul
        assert.deepStrictEqual(yield* consul.list(key("")), [])
        assert.strictEqual((yield* Effect.flip(consul.get(key("secret")))).reason, "refused")
      }).pipe(as("stranger")))
  })
}
