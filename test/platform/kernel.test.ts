/**
 * The prototypes that are declared for koffi, against the kernel itself.
 */
import { assert, it } from "@effect/vitest"
import * as FS from "node:fs"
import { Worker } from "node:worker_threads"
import { fallback, isUnsupported, kernel } from "../../src/platform/kernel.ts"
import { make } from "../../src/platform/nodeDisk.ts"
import { everywhere, inTemporaryDirectory, type Place } from "../support/places.ts"

/** 3 GiB, to see that offsets have 64 bits, with data at 1 MiB and at 2.5 GiB. */
const SIZE = 3 * 2 ** 30
const DATA = [2 ** 20, 2.5 * 2 ** 30] as const

const sparse = (place: Place): number => {
  const fd = FS.openSync(`${place.directory()}/f`, "wx+")
  FS.ftruncateSync(fd, SIZE)
  for (const offset of DATA) FS.writeSync(fd, new Uint8Array(65_536).fill(1), 0, 65_536, offset)
  FS.fsyncSync(fd)
  return fd
}

const byteAt = (fd: number, offset: number): number => {
  const buffer = new Uint8Array(1)
  FS.readSync(fd, buffer, 0, 1, offset)
  return buffer[0] ?? -1
}

everywhere((place) => {
  it("koffi reaches lseek, fallocate and posix_fadvise with 64-bit offsets", async () => {
    const calls = kernel()
    assert.notStrictEqual(calls, fallback, "koffi is not installed")
    const fd = sparse(place)
    try {
      assert.deepStrictEqual(calls.seekEnd(fd), { ok: true, value: SIZE })
      assert.deepStrictEqual(calls.seekData(fd, 0), { ok: true, value: DATA[0] })
      assert.deepStrictEqual(calls.seekHole(fd, 0), { ok: true, value: 0 })
      assert.deepStrictEqual(calls.seekHole(fd, DATA[0]), { ok: true, value: DATA[0] + 65_536 })
      assert.deepStrictEqual(calls.seekData(fd, DATA[0] + 65_536), { ok: true, value: DATA[1] })
      assert.deepStrictEqual(calls.seekData(fd, DATA[1] + 65_536), { ok: false, code: "ENXIO" })
      assert.deepStrictEqual(calls.seekData(-1, 0), { ok: false, code: "EBADF" })
      assert.deepStrictEqual(calls.punchHole(-1, 0, 1), { ok: false, code: "EBADF" })
      assert.deepStrictEqual(calls.punchHole(fd, 0, 0), { ok: false, code: "EINVAL" })
      assert.deepStrictEqual(calls.punchHole(fd, DATA[1], 4096), { ok: true, value: 0 })
      assert.deepStrictEqual([byteAt(fd, DATA[1]), byteAt(fd, DATA[1] + 4096), byteAt(fd, DATA[0])], [0, 1, 1])
      assert.deepStrictEqual(await calls.punchHoleAsync(fd, DATA[0], 4096), { ok: true, value: 0 })
      assert.deepStrictEqual([byteAt(fd, DATA[0]), byteAt(fd, DATA[0] + 4096)], [0, 1])
      assert.strictEqual(FS.fstatSync(fd).size, SIZE)
      calls.dropCache(fd, 0, 0)
      calls.dropCache(-1, 0, 0)
    } finally {
      FS.closeSync(fd)
    }
  })
})

it("an errno on another thread is not mistaken for one of this thread", async () => {
  const answers = await Promise.all(Array.from({ length: 2000 }, () => kernel().punchHoleAsync(-1, 0, 4096)))
  assert.isTrue(answers.every((answer) => !answer.ok && answer.code === "EBADF"))
})

inTemporaryDirectory((place) => {
  it("works in a worker thread as well", async () => {
    const path = `${place.directory()}/f`
    FS.writeFileSync(path, "")
    FS.truncateSync(path, SIZE)
    const worker = new Worker(
      `const { parentPort } = require("node:worker_threads")
      import(${JSON.stringify(new URL("../../src/platform/kernel.ts", import.meta.url).href)}).then(({ kernel }) => {
        const fd = require("node:fs").openSync(${JSON.stringify(path)}, "r+")
        const calls = kernel()
        parentPort.postMessage([calls.seekEnd(fd), calls.seekData(fd, 0), calls.punchHole(fd, 0, 4096)])
      })`,
      { eval: true }
    )
    const answer = await new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject))
    await worker.terminate()
    assert.deepStrictEqual(answer, [{ ok: true, value: SIZE }, { ok: false, code: "ENXIO" }, { ok: true, value: 0 }])
  })

  it("without koffi everything may be data, and nothing is punched", async () => {
    const fd = sparse(place)
    const disk = make(() => fallback)
    try {
      assert.deepStrictEqual(disk.nextData(fd, 4096), { offset: 4096, length: SIZE - 4096 })
      assert.strictEqual(disk.nextData(fd, SIZE), undefined)
      assert.isFalse(disk.punch(fd, DATA[0], 4096))
      assert.strictEqual(byteAt(fd, DATA[0]), 1)
      disk.dropCache(fd, 0, 0)
      const answer = await fallback.punchHoleAsync(fd, 0, 4096)
      assert.isTrue(!answer.ok && isUnsupported(answer.code))
    } finally {
      FS.closeSync(fd)
    }
  })

  it("a kernel that says there is no more data is believed only if it also says that there is a hole", () => {
    const fd = sparse(place)
    const lying = make(() => ({ ...kernel(), seekData: () => ({ ok: false, code: "ENXIO" }) }))
    try {
      assert.deepStrictEqual(lying.nextData(fd, DATA[0]), { offset: DATA[0], length: SIZE - DATA[0] })
    } finally {
      FS.closeSync(fd)
    }
  })
})
