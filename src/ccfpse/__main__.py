from ccfpse.cli import main

main()
