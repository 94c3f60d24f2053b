import { BadArgument, SystemError } from "@effect/platform/Error"
import { assert, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as FS from "node:fs"
import * as OS from "node:os"
import { errnoError, nameOf, textOf } from "../../src/platform/errno.ts"
import { fromPlatform, fromUnknown, IoError, isFull, isMissing } from "../../src/platform/IoError.ts"

it("an I/O error is one sentence with the reason in words and as errno", () => {
  const error = new IoError({ operation: "write", path: "/x/y", code: "ENOSPC" })
  assert.strictEqual(error.message, "cannot write /x/y: no space left on device (ENOSPC)")
  assert.strictEqual(
    new IoError({ operation: "lock", path: "/l", code: "EIO", detail: "the dog ate it" }).message,
    "cannot lock /l: the dog ate it (EIO)"
  )
})

it("errors of Node become I/O errors", () => {
  const thrown = (call: () => unknown): unknown => {
    try {
      call()
    } catch (cause) {
      return cause
    }
    return undefined
  }
  const missing = fromUnknown("open", "/no/such", thrown(() => FS.openSync("/no/such", "r")))
  assert.deepInclude({ ...missing }, { operation: "open", path: "/no/such", code: "ENOENT" })
  assert.isTrue(isMissing(missing))
  assert.strictEqual(fromUnknown("open", "a\0b", thrown(() => FS.openSync("a\0b", "r"))).code, "EINVAL")
  assert.strictEqual(fromUnknown("remove", "/proc", thrown(() => FS.rmSync("/proc"))).code, "EISDIR")
  // libuv has no name for this one.
  const quota = Object.assign(new Error("Unknown system error -122"), {
    code: "Unknown system error -122",
    errno: -122
  })
  assert.strictEqual(fromUnknown("write", "/f", quota).message, "cannot write /f: disk quota exceeded (EDQUOT)")
  assert.isTrue(isFull(fromUnknown("write", "/f", quota)))
})

it("what is no system error keeps its text", () => {
  const error = fromUnknown("read", "/f", new TypeError("undefined is not a function"))
  assert.strictEqual(error.message, "cannot read /f: undefined is not a function")
  assert.strictEqual(fromUnknown("read", "/f", "oops").message, "cannot read /f: oops")
  assert.strictEqual(fromUnknown("read", "/g", error), error)
})

it("a platform error gives the errno of its cause, whatever its reason", () => {
  const platform = (code: string) =>
    new SystemError({
      reason: "Unknown",
      module: "FileSystem",
      method: "writeFile",
      pathOrDescriptor: "/f",
      cause: errnoError(code, "write", "/f")
    })
  for (const code of ["ENOSPC", "EIO", "EXDEV", "EROFS", "ENOTEMPTY"]) {
    assert.deepInclude({ ...fromPlatform(platform(code)) }, { operation: "write", path: "/f", code })
  }
  const bare = new SystemError({
    reason: "NotFound",
    module: "FileSystem",
    method: "readDirectory",
    pathOrDescriptor: "/d"
  })
  assert.strictEqual(fromPlatform(bare).message, "cannot list /d: no such file or directory (ENOENT)")
  const argument = new BadArgument({ module: "FileSystem", method: "open", description: "no such flag" })
  assert.strictEqual(fromPlatform(argument, "/f").message, "cannot open /f: no such flag (EINVAL)")
  const unknown = new SystemError({ reason: "Unknown", module: "FileSystem", method: "stat", description: "odd" })
  assert.strictEqual(fromPlatform(unknown, "/f").message, "cannot examine /f: odd")
})

it("every errno of the system has a name, and every name a text", () => {
  for (const [name, number] of Object.entries(OS.constants.errno)) {
    assert.strictEqual(OS.constants.errno[nameOf(number) as keyof typeof OS.constants.errno] ?? number, number, name)
  }
  assert.strictEqual(nameOf(28), "ENOSPC")
  assert.strictEqual(nameOf(122), "EDQUOT")
  assert.strictEqual(nameOf(95), "ENOTSUP")
  assert.strictEqual(nameOf(12_345), "E12345")
  assert.strictEqual(textOf("ENOTHING"), undefined)
  assert.strictEqual(textOf("EIO"), "i/o error")
})

it("a message is one line, whatever was thrown", () => {
  assert.strictEqual(fromUnknown("read", "/a\n\u001b[31mb", "c\r\nd").message, "cannot read /a\\x0a\\x1b[31mb: c d")
  FastCheck.assert(FastCheck.property(FastCheck.anything(), (cause) => {
    const { message } = fromUnknown("read", "/f", cause)
    assert.notInclude(message, "\n")
    assert.isTrue(message.startsWith("cannot read /f: "))
  }))
})
