import * as Effect from "effect/Effect"
import * as FS from "node:fs"
import { Devices } from "../../src/platform/Devices.ts"
import * as NodeDevices from "../../src/platform/nodeDevices.ts"

/** The loop devices that show a file, as the program finds them. */
export const loopsOver = (path: string): ReadonlyArray<string> => {
  const { dev, ino } = FS.statSync(path)
  return Effect.runSync(
    Effect.flatMap(Devices, (devices) => devices.loopsOver({ dev, ino })).pipe(Effect.provide(NodeDevices.layer))
  )
}
