# The formula of a tap: `brew install OWNER/tap/cc-relay`. It installs the archive of a release.
#
# The release fills in the owner, the version and the checksums (dist/homebrew/formula), and attaches the result as cc-relay.rb.
class CcRelay < Formula
  desc "Relay between Claude Code and the providers of its models"
  homepage "https://github.com/OWNER/cc-relay"
  version "0.1.0"
  license any_of: ["MIT", "Apache-2.0"]

  on_macos do
    on_arm do
      url "https://github.com/OWNER/cc-relay/releases/download/v0.1.0/cc-relay-v0.1.0-aarch64-apple-darwin.tar.gz"
      sha256 "0000000000000000000000000000000000000000000000000000000000000000"
    end
    on_intel do
      url "https://github.com/OWNER/cc-relay/releases/download/v0.1.0/cc-relay-v0.1.0-x86_64-apple-darwin.tar.gz"
      sha256 "0000000000000000000000000000000000000000000000000000000000000000"
    end
  end

  # The programs for musl are static: they run with every version of glibc that Homebrew supports.
  on_linux do
    on_arm do
      url "https://github.com/OWNER/cc-relay/releases/download/v0.1.0/cc-relay-v0.1.0-aarch64-unknown-linux-musl.tar.gz"
      sha256 "0000000000000000000000000000000000000000000000000000000000000000"
    end
    on_intel do
      url "https://github.com/OWNER/cc-relay/releases/download/v0.1.0/cc-relay-v0.1.0-x86_64-unknown-linux-musl.tar.gz"
      sha256 "0000000000000000000000000000000000000000000000000000000000000000"
    end
  end

  def install
    bin.install "cc-relay"
    bash_completion.install "completions/cc-relay.bash" => "cc-relay"
    zsh_completion.install "completions/_cc-relay"
    fish_completion.install "completions/cc-relay.fish"
    man1.install Dir["man/*.1"]
  end

  # `brew services start cc-relay`. The relay reads ~/.config/cc-relay/config.yaml.
  service do
    run [opt_bin/"cc-relay", "serve"]
    keep_alive successful_exit: false
    working_dir HOMEBREW_PREFIX
    log_path var/"log/cc-relay.log"
    error_log_path var/"log/cc-relay.log"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/cc-relay version")
    (testpath/"config.yaml").write "providers: [{name: m, type: mock}]\n"
    assert_match "ok", shell_output("#{bin}/cc-relay config validate #{testpath}/config.yaml")
  end
end
