{
  description = "backy: block-based backup and restore of virtual machine images";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      # pkgs of each system
      eachSystem =
        make:
        builtins.listToAttrs (
          map (system: {
            name = system;
            value = make nixpkgs.legacyPackages.${system};
          }) systems
        );
      backyFor = pkgs: pkgs.callPackage ./nix/package.nix { };
    in
    {
      packages = eachSystem (pkgs: rec {
        default = backy;
        backy = backyFor pkgs;
        # what the hashes in nix/npmHashes.json are of
        npmDependencies = backy.npmDependencies;
      });

      overlays.default = final: _prev: { backy = backyFor final; };

      nixosModules.default = import ./nix/module.nix self;

      # `nix develop`, then `npm ci` and everything else as in README.md
      devShells = eachSystem (pkgs: {
        default = pkgs.mkShell {
          packages = [
            pkgs.nodejs_24
            pkgs.util-linux
            pkgs.zstd
            pkgs.b3sum
            pkgs.e2fsprogs
            pkgs.xfsprogs
            pkgs.btrfs-progs
            pkgs.mandoc
          ];
        };
      });

      # What the program, as nix built it, is for: a backup, a change, a restore.
      checks = eachSystem (pkgs: {
        quickstart = pkgs.callPackage ./nix/quickstart.nix {
          backy = self.packages.${pkgs.stdenv.hostPlatform.system}.default;
        };
      });
    };
}
