# Stands in for nixpkgs where there is none: as few of its functions as backy's flake uses, made from the machine's own
# tools (`nix build --impure`, without a sandbox). It proves that the expressions evaluate and that their scripts run;
# it does not prove that nixpkgs' own versions do the same.
{
  outputs =
    { self }:
    let
      lib = import ./lib.nix;
      pkgsFor =
        system:
        let
          # The Node.js that npm installed, since the machine's own may be too old.
          node = builtins.getEnv "BACKY_NIX_NODE";
          path = builtins.getEnv "BACKY_NIX_PATH";
          shell = "/bin/bash";
          runHook = "runHook() { if [ -n \"\${!1:-}\" ]; then eval \"\${!1}\"; fi; }";
          mkDerivation =
            args:
            let
              name = args.name or "${args.pname}-${args.version}";
              attributes = removeAttrs args [
                "meta"
                "passthru"
                "nativeBuildInputs"
              ];
              tools = lib.makeBinPath (args.nativeBuildInputs or [ ]);
            in
            derivation (
              attributes
              // {
                inherit name system;
                builder = shell;
                args = [
                  "-euo"
                  "pipefail"
                  "-c"
                  ''
                    export PATH=${tools}:${path} TMPDIR=$NIX_BUILD_TOP
                    ${runHook}
                    cd "$NIX_BUILD_TOP"
                    if [ -n "''${src:-}" ]; then cp -R "$src" source; chmod -R u+w source; cd source; fi
                    source ${./makeWrapper.sh}
                    eval "$buildPhase"
                    eval "$installPhase"
                  ''
                ];
              }
            )
            // (args.passthru or { })
            // {
              meta = args.meta or { };
            };
          run =
            name: script:
            derivation {
              inherit name system;
              builder = shell;
              args = [
                "-euc"
                # coreutils close their output before they exit, and nix kills who has closed it: the shell has to be the last
                "export PATH=${path}; ${script}\ntrue"
              ];
            };
          # a package of the machine's own programs
          ofMachine = name: run name "mkdir -p $out/bin";
          pkgs = {
            inherit lib;
            stdenvNoCC = {
              inherit mkDerivation;
              hostPlatform = { inherit system; };
            };
            stdenv = pkgs.stdenvNoCC;
            callPackage = lib.callPackageWith pkgs;
            makeWrapper = ofMachine "makeWrapper";
            nodejs_24 = run "nodejs" ''
              mkdir -p $out/bin
              ln -s ${node} $out/bin/node
              ln -s "$(type -P npm)" $out/bin/npm
            '';
            runCommand =
              name: options: script:
              mkDerivation (
                options
                // {
                  inherit name;
                  buildPhase = script;
                  installPhase = "";
                }
              );
            mkShell = { packages }: run "shell" "echo ${lib.makeBinPath packages} > $out";
            formats.yaml = _: {
              type = lib.types.yamlValue;
              # JSON is YAML
              generate = name: value: builtins.toFile name (builtins.toJSON value);
            };
          }
          // builtins.listToAttrs (
            map
              (name: {
                inherit name;
                value = ofMachine name;
              })
              [
                "b3sum"
                "btrfs-progs"
                "cacert"
                "ceph-client"
                "coreutils"
                "e2fsprogs"
                "mandoc"
                "util-linux"
                "xfsprogs"
                "zstd"
              ]
          );
        in
        pkgs;
    in
    {
      inherit lib;
      legacyPackages = {
        x86_64-linux = pkgsFor "x86_64-linux";
        aarch64-linux = pkgsFor "aarch64-linux";
      };
    };
}
