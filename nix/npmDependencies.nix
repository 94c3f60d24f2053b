# What npm installs, as a fixed-output derivation: the only step that may use the network, and its result must have the
# hash in npmHashes.json. The name carries a digest of the lock file, so that a result of an older lock file, which a
# store may still hold under the same hash, is never taken for this one's.
{
  lib,
  stdenvNoCC,
  nodejs_24,
  cacert,
}:
let
  system = stdenvNoCC.hostPlatform.system;
  # in npm's words
  cpu =
    {
      x86_64-linux = "x64";
      aarch64-linux = "arm64";
    }
    .${system};
  lockDigest = builtins.substring 0 12 (builtins.hashFile "sha256" ../package-lock.json);
in
stdenvNoCC.mkDerivation {
  name = "backy-npm-dependencies-${lockDigest}";

  dontUnpack = true;
  dontFixup = true;
  nativeBuildInputs = [
    nodejs_24
    cacert
  ];

  buildPhase = ''
    runHook preBuild
    export HOME=$TMPDIR
    cp ${../package.json} package.json
    cp ${../package-lock.json} package-lock.json
    cp ${../.npmrc} .npmrc
    chmod u+w package.json package-lock.json
    mkdir fetch
    cp ${./fetchDependencies.sh} fetch/fetchDependencies.sh
    cp ${./buildOnly.mjs} fetch/buildOnly.mjs
    sh fetch/fetchDependencies.sh ${cpu}
    runHook postBuild
  '';
  installPhase = ''
    runHook preInstall
    mkdir $out
    mv node_modules $out/
    runHook postInstall
  '';

  impureEnvVars = lib.fetchers.proxyImpureEnvVars ++ [
    "NODE_EXTRA_CA_CERTS"
    "NPM_CONFIG_REGISTRY"
  ];

  outputHashAlgo = "sha256";
  outputHashMode = "recursive";
  outputHash = (lib.importJSON ./npmHashes.json).${system};
}
