"""What the scenarios and the contenders share; standard library only, as peers import it too."""
